//! How much fine detail the mouth of an image has: the variance of its Laplacian (Pech-Pacheco et al. 2000, "Diatom
//! autofocusing in brightfield microscopy"), of luma by the kernel 0 1 0, 1 -4 1, 0 1 0, in the middle of the crop.

/// Where the mouth is, as parts of the width and of the height: columns 44 to 115 and rows 17 to 56 of a crop of 160 x 80.
const COLUMNS: [f64; 2] = [0.275, 0.725];
const ROWS: [f64; 2] = [0.2125, 0.7125];
/// Luma of red, green and blue (ITU-R BT.601).
pub(super) const LUMA: [f64; 3] = [0.299, 0.587, 0.114];

/// Luma of a colour.
pub fn luma(rgb: [f64; 3]) -> f64 {
    LUMA.iter().zip(rgb).map(|(weight, value)| weight * value).sum()
}

/// The Laplacian of an image where the mouth is, row by row; `luma` gives the luma at a column and a row.
pub fn laplacian([width, height]: [usize; 2], luma: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    // The outermost pixels have no neighbours on all sides.
    let within = |parts: [f64; 2], size: usize| {
        let [start, end] = parts.map(|part| (part * size as f64).round() as usize);
        start.max(1)..end.min(size.saturating_sub(1))
    };
    let places = within(ROWS, height).flat_map(|y| within(COLUMNS, width).map(move |x| (x, y)));
    let value = |(x, y)| luma(x - 1, y) + luma(x + 1, y) + luma(x, y - 1) + luma(x, y + 1) - 4.0 * luma(x, y);
    places.map(value).collect()
}

/// Mean of the products less the product of the means; 0 where there is nothing.
pub fn covariance(a: &[f64], b: &[f64]) -> f64 {
    let count = a.len().max(1) as f64;
    let products = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    products / count - a.iter().sum::<f64>() / count * (b.iter().sum::<f64>() / count)
}
