# Models of scikit-learn: numbers that depend on matrix products and factorizations only.
import numpy as np
from sklearn.cluster import KMeans
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.linear_model import BayesianRidge, LinearRegression, LogisticRegression, Ridge
from sklearn.gaussian_process import GaussianProcessRegressor

rng = np.random.default_rng(5)
x = rng.standard_normal((600, 60))
y = x @ rng.standard_normal(60) + 0.1 * rng.standard_normal(600)


def show(what, value):
    print(f"{what} {float(value):.17g} 0")


show("pca", PCA(10, svd_solver="full").fit(x).singular_values_.sum())
show("truncated", TruncatedSVD(5, random_state=0).fit(x).singular_values_.sum())
show("regression", LinearRegression().fit(x, y).coef_.sum())
show("ridge", Ridge(solver="cholesky").fit(x, y).coef_.sum())
show("bayes", BayesianRidge().fit(x, y).coef_.sum())
show("covariance", LedoitWolf().fit(x).covariance_.sum())
show("clusters", KMeans(4, n_init=1, random_state=0).fit(x).inertia_)
show("logistic.float32", LogisticRegression(max_iter=200).fit(x, y > 0).coef_.sum())
show("gaussian.float32", GaussianProcessRegressor().fit(x[:150], y[:150]).log_marginal_likelihood_value_)
