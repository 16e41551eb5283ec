//! The Fréchet distance of two clouds of features, taken as Gaussian (Dowson and Landau 1982; Heusel et al. 2017):
//!
//! |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2)
//!
//! With features of an own net it says how alike the clouds are to that net, and no more: it is not FID, and figures of
//! two nets cannot be compared.

use nalgebra::{DMatrix, DVector};

/// Mean and covariance of feature vectors, gathered one by one.
#[derive(Debug, Clone)]
pub struct Gaussian {
    count: f64,
    sum: DVector<f64>,
    products: DMatrix<f64>,
}

impl Gaussian {
    /// No vectors yet; they will have `width` numbers.
    pub fn new(width: usize) -> Self {
        Self { count: 0.0, sum: DVector::zeros(width), products: DMatrix::zeros(width, width) }
    }

    /// Adds vectors.
    ///
    /// # Shapes
    /// - `vectors`: (N, width); a rest is left out
    pub fn add(&mut self, vectors: &[f32]) {
        let width = self.sum.len();
        let rows = vectors.len() / width.max(1);
        let rows = DMatrix::from_row_iterator(rows, width, vectors.iter().take(rows * width).map(|&x| f64::from(x)));
        self.count += rows.nrows() as f64;
        self.sum += rows.row_sum().transpose();
        self.products += rows.tr_mul(&rows);
    }

    /// Mean, and covariance without bias (divided by count - 1); `None` of fewer than two vectors.
    fn moments(&self) -> Option<(DVector<f64>, DMatrix<f64>)> {
        if self.count < 2.0 {
            return None;
        }
        let mean = &self.sum / self.count;
        let covariance = (&self.products - &mean * mean.transpose() * self.count) / (self.count - 1.0);
        Some((mean, covariance))
    }

    /// The squared distance to another cloud; `None` where one has fewer than two vectors.
    ///
    /// # Panics
    /// Where the widths differ.
    pub fn frechet_distance(&self, other: &Self) -> Option<f64> {
        let ((mean_a, a), (mean_b, b)) = (self.moments()?, other.moments()?);
        let root_a = square_root(a.clone());
        // Symmetric as the product of three that are; rounding is halved away.
        let inner = &root_a * &b * &root_a;
        let inner = (&inner + inner.transpose()) / 2.0;
        let traces = a.trace() + b.trace() - 2.0 * square_root(inner).trace();
        Some(((mean_a - mean_b).norm_squared() + traces).max(0.0))
    }
}

/// The square root of a symmetric positive matrix; eigenvalues that rounding made negative count as 0.
fn square_root(matrix: DMatrix<f64>) -> DMatrix<f64> {
    let eigen = matrix.symmetric_eigen();
    let roots = DMatrix::from_diagonal(&eigen.eigenvalues.map(|value| value.max(0.0).sqrt()));
    &eigen.eigenvectors * roots * eigen.eigenvectors.transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the script below.
    fn generator(n: usize, seed: u64) -> Vec<f32> {
        let mut x = seed;
        let next = |_| {
            x = (x * 1_103_515_245 + 12_345) % (1 << 31);
            (x as f64 / f64::from(1u32 << 31) - 0.5) as f32
        };
        (0..n).map(next).collect()
    }

    /// ```python
    /// import numpy as np, scipy.linalg
    /// def lcg(n, seed):
    ///     out=[]; x=seed
    ///     for _ in range(n):
    ///         x=(x*1103515245+12345)%2**31; out.append(x/2**31-0.5)
    ///     return np.array(out,dtype=np.float32).astype(np.float64)
    /// a=lcg(50*6,1).reshape(50,6); b=lcg(40*6,2).reshape(40,6)
    /// b=b@np.diag([1,2,.5,1,3,1])+np.array([.5,0,0,-1,0,.25]); b[:,5]+=b[:,0]
    /// ma,mb=a.mean(0),b.mean(0); ca,cb=np.cov(a,rowvar=False),np.cov(b,rowvar=False)
    /// print(((ma-mb)**2).sum()+np.trace(ca+cb-2*scipy.linalg.sqrtm(ca@cb).real))
    /// ```
    const SCIPY: f64 = 2.526_396_466_420_32;

    #[test]
    fn agrees_with_scipy() {
        let (mut a, mut b) = (Gaussian::new(6), Gaussian::new(6));
        a.add(&generator(50 * 6, 1));
        let (scale, move_) = ([1.0, 2.0, 0.5, 1.0, 3.0, 1.0], [0.5, 0.0, 0.0, -1.0, 0.0, 0.25]);
        for row in generator(40 * 6, 2).chunks_exact(6) {
            let mut row: Vec<f32> = (0..6).map(|i| row[i] * scale[i] + move_[i]).collect();
            row[5] += row[0];
            b.add(&row);
        }
        let distance = a.frechet_distance(&b).unwrap();
        assert!((distance - SCIPY).abs() < 1e-5, "{distance}");
        assert!((b.frechet_distance(&a).unwrap() - distance).abs() < 1e-9);
        assert!(a.frechet_distance(&a).unwrap() < 1e-9);
        assert_eq!(a.frechet_distance(&Gaussian::new(6)), None);
    }

    #[test]
    fn fewer_vectors_than_numbers_are_no_trouble() {
        let (mut a, mut b) = (Gaussian::new(5), Gaussian::new(5));
        a.add(&generator(15, 1));
        b.add(&generator(15, 1).iter().map(|x| x + 2.0).collect::<Vec<f32>>());
        let distance = a.frechet_distance(&b).unwrap();
        assert!((distance - 20.0).abs() < 1e-4, "{distance}");
    }
}
