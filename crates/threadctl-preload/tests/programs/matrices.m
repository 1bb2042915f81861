% Matrix programs in Octave: one number each, which does not depend on signs that LAPACK leaves open.
function show(what, value)
  printf("%s %.17g %.17g\n", what, real(value), imag(value));
end
rand("twister", 7);
n = 160;
a = rand(n) - 0.5;
b = rand(n) - 0.5;
good = a / n + eye(n) * 2;
positive = good' * good;
z = a + i * b;

show("product", sum((a * b)(3:8, 4:7)(:)));
show("transposed", sum((a' * b)(3:8, 4:7)(:)));
show("complex", sum((z * z)(3:8, 4:7)(:)));
show("single.float32", double(sum((single(a) * single(b))(:))));
show("solve", sum((good \ b)(:)));
show("inverse", sum(inv(good)(:)));
show("determinant", log(det(good / 2)));
show("cholesky", sum(chol(positive)(:)));
show("qr", sum(abs(diag(qr(good)))));
show("svd", sum(svd(good)));
[u, s, v] = svd(good);
show("svd vectors", max(abs(u * s * v' - good)(:)) < 1e-10);
show("symmetric", sum(eig(positive)));
show("eigen", sum(abs(eig(good))));
show("schur", sum(abs(diag(schur(complex(good))))));
show("exponential", sum(expm(good / 4)(:)));
show("least squares", sum((good(:, 1:100) \ b(:, 1:5))(:)));
