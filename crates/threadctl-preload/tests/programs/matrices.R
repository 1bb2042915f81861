# Matrix programs in R: one number each, which does not depend on signs that LAPACK leaves open.
show <- function(what, value) cat(what, sprintf("%.17g %.17g\n", Re(value), Im(value)))
set.seed(7)
n <- 160
a <- matrix(rnorm(n * n), n)
b <- matrix(rnorm(n * n), n)
good <- a / n + diag(n) * 2
positive <- crossprod(good)
z <- a + 1i * b

show("product", sum((a %*% b)[3:8, 4:7]))
show("crossprod", sum(crossprod(a, b)[3:8, 4:7]))
show("complex", sum((z %*% z)[3:8, 4:7]))
show("solve", sum(solve(good, b)))
show("inverse", sum(solve(good)))
show("determinant", determinant(good)$modulus)
show("cholesky", sum(chol(positive)))
show("chol2inv", sum(chol2inv(chol(positive))))
show("triangle", sum(backsolve(chol(positive), b)))
show("qr", sum(abs(diag(qr.R(qr(good, LAPACK = TRUE))))))
show("svd", sum(svd(good)$d))
show("symmetric", sum(eigen(positive, symmetric = TRUE)$values))
show("eigen", sum(Mod(eigen(good)$values)))
show("model", sum(coef(lm(b[, 1] ~ a[, 1:20]))))
show("components", sum(prcomp(a[, 1:30])$sdev))
