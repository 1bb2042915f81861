//! Level 3: matrices by matrices.

mod gemm;
