//! Matrix products on views of slices, in fixed tiles.
//!
//! As in Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008): the right matrix is copied into
//! panels that a tile reads from the first-level cache, the left one into blocks for the second-level cache. Where the
//! processor has a unit for products, right matrices that do not change are laid out for it ([`amx`]).

mod amx;
pub(super) mod bytes;
pub(super) mod tile;

use std::cell::RefCell;
use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::cpu::{for_pieces, written};
use tile::{DEPTH, PANEL, ROWS, Start, Tile, WIDTHS};

/// Elements of the right matrix that are copied at once.
const RIGHT: usize = 2 * 1024 * 1024;

/// Most rows of a task: so many, of [`DEPTH`] columns, stay in a second-level cache.
const BLOCK: usize = 16 * ROWS;

/// Fewest panels of a task for the matrix unit.
const UNIT_PANELS: usize = 4;

/// Floats in a line of the cache.
const LINE: usize = 16;

/// Tasks that a large product is cut into, at least.
pub(super) const TASKS: usize = 8;

/// A matrix to read, inside a slice; rows may overlap.
#[derive(Clone, Copy)]
pub(super) struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Mat<'a> {
    /// Element (r, c) is data[r row_stride + c column_stride].
    pub(super) fn new(data: &'a [f32], [rows, columns]: [usize; 2], [row_stride, column_stride]: [usize; 2]) -> Self {
        assert!(fits(data.len(), rows, columns, row_stride, column_stride), "matrix view leaves its slice");
        Self { data, rows, columns, row_stride, column_stride }
    }

    /// A row-major matrix.
    pub(super) fn rows(data: &'a [f32], columns: usize) -> Self {
        Self::new(data, [data.len() / columns.max(1), columns], [columns, 1])
    }

    /// Columns [from, from + count).
    pub(super) fn columns(self, from: usize, count: usize) -> Self {
        assert!(from + count <= self.columns, "columns leave the matrix");
        Self { data: &self.data[(from * self.column_stride).min(self.data.len())..], columns: count, ..self }
    }

    /// Rows and columns exchanged.
    pub(super) fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A matrix to write, inside a slice.
pub(super) struct MatMut<'a> {
    data: &'a mut [MaybeUninit<f32>],
    rows: usize,
    columns: usize,
    row_stride: usize,
    /// Whether the elements hold numbers.
    written: bool,
}

impl<'a> MatMut<'a> {
    /// Element (r, c) is data[r row_stride + c].
    pub(super) fn new(data: &'a mut [f32], sizes: [usize; 2], row_stride: usize) -> Self {
        // SAFETY: the layout is the same, and products write numbers alone.
        let data = unsafe { &mut *(data as *mut [f32] as *mut [MaybeUninit<f32>]) };
        Self { written: true, ..Self::fresh(data, sizes, row_stride) }
    }

    /// The same in memory that has not been written yet.
    pub(super) fn fresh(data: &'a mut [MaybeUninit<f32>], [rows, columns]: [usize; 2], row_stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, row_stride, 1), "matrix view leaves its slice");
        assert!(rows <= 1 || row_stride >= columns, "rows of a written matrix overlap");
        Self { data, rows, columns, row_stride, written: false }
    }
}

/// What the sums of products are added to.
#[derive(Clone, Copy)]
pub(super) enum Base<'a> {
    Zero,
    /// The same row for every row, such as a bias.
    Row(&'a [f32]),
    /// What the result holds.
    Result,
}

fn fits(len: usize, rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * row_stride + (columns - 1) * column_stride < len
}

/// The length of equal parts of `count`, none longer than `most`.
pub(super) fn even(count: usize, most: usize) -> usize {
    count.div_ceil(count.div_ceil(most).max(1)).max(1)
}

/// base + a b.
pub(super) fn new_product(a: Mat<'_>, b: Mat<'_>, base: Base<'_>) -> Vec<f32> {
    let (rows, columns) = (a.rows, b.columns);
    let write = |dst: &mut [MaybeUninit<f32>]| {
        products(&mut [(MatMut::fresh(dst, [rows, columns], columns), vec![a])], &[b], base);
    };
    // SAFETY: a product writes all of its target.
    unsafe { written(rows * columns, write) }
}

/// A right matrix for many products, copied into panels once, for the matrix unit where there is one: then the products are
/// as near as [`amx`] says, else the same bit for bit.
pub(super) struct Packed {
    copies: Vec<f32>,
    rows: usize,
    columns: usize,
}

impl Packed {
    pub(super) fn new(b: Mat<'_>) -> Self {
        let (rows, columns) = (b.rows, b.columns);
        let mut copies = Vec::new();
        copy_panels(&[b], &slices([rows], amx::worth(rows, columns)), columns, true, &mut copies);
        Self { copies, rows, columns }
    }

    /// base + a b.
    pub(super) fn product(&self, a: Mat<'_>, base: Base<'_>) -> Vec<f32> {
        let (rows, columns) = (a.rows, self.columns);
        assert!(a.columns == self.rows, "matrix shapes do not fit");
        let write = |dst: &mut [MaybeUninit<f32>]| {
            let mut target = [(MatMut::fresh(dst, [rows, columns], columns), vec![a])];
            check_base(&target, base);
            let slices = slices([self.rows], amx::worth(self.rows, columns));
            if let Some(tasks) = Tasks::of(&mut target, &slices) {
                tasks.run(&slices, aligned(&self.copies), base);
            }
        };
        // SAFETY: a product writes all of its target.
        unsafe { written(rows * columns, write) }
    }
}

/// For each target: dst = base + sum of a b over its left matrices and the right ones, which are the same for all, over the
/// threads. The targets have the same columns; all of each is written.
pub(super) fn products(targets: &mut [(MatMut<'_>, Vec<Mat<'_>>)], right: &[Mat<'_>], base: Base<'_>) {
    let columns = targets.first().map_or(0, |(dst, _)| dst.columns);
    for (dst, left) in targets.iter() {
        let fit = |(a, b): (&Mat<'_>, &Mat<'_>)| a.rows == dst.rows && b.columns == columns && a.columns == b.rows;
        assert!(dst.columns == columns && left.len() == right.len(), "matrix shapes do not fit");
        assert!(left.iter().zip(right).all(fit), "matrix shapes do not fit");
    }
    check_base(targets, base);
    let slices = slices(right.iter().map(|b| b.rows), false);
    let Some(tasks) = Tasks::of(targets, &slices) else { return };
    let at_once = (RIGHT / (tasks.panels * PANEL * DEPTH)).max(1);
    let mut copies = Vec::new();
    for (i, slices) in slices.chunks(at_once).enumerate() {
        copy_panels(right, slices, columns, tasks.parallel, &mut copies);
        tasks.run(slices, aligned(&copies), if i > 0 { Base::Result } else { base });
    }
}

fn check_base(targets: &[(MatMut<'_>, Vec<Mat<'_>>)], base: Base<'_>) {
    for (dst, _) in targets {
        match base {
            Base::Zero => {}
            Base::Row(row) => assert!(row.len() == dst.columns, "row does not fit"),
            Base::Result => assert!(dst.written, "the result holds no numbers yet"),
        }
    }
}

/// The depth of right matrices with so many rows in even parts, for the matrix unit or not. A right matrix without rows still
/// leaves the base.
fn slices(rows: impl IntoIterator<Item = usize>, unit: bool) -> Vec<Slice> {
    let slices = rows.into_iter().enumerate().flat_map(|(term, rows)| {
        let step = even(rows, if unit { amx::DEPTH } else { DEPTH });
        (0..rows.max(1)).step_by(step).map(move |from| Slice { term, from, depth: step.min(rows - from), unit })
    });
    slices.collect()
}

/// Copies the rows of slices into panels, a panel after the other; [`aligned`] finds them in `copies`.
fn copy_panels(right: &[Mat<'_>], slices: &[Slice], columns: usize, parallel: bool, copies: &mut Vec<f32>) {
    let depth = slices.iter().map(Slice::room).sum::<usize>();
    let panels = columns.div_ceil(PANEL);
    copies.resize(depth * panels * PANEL + LINE, 0.0);
    let skip = to_line(copies);
    let copies = &mut copies[skip..][..depth * panels * PANEL];
    // A small product is not worth other threads.
    let piece = if parallel { depth * PANEL } else { copies.len() };
    for_pieces(copies, piece, |start, dst| {
        for (i, mut dst) in dst.chunks_exact_mut(depth * PANEL).enumerate() {
            let from = (start / (depth * PANEL) + i) * PANEL;
            let mut floats = Vec::new();
            for slice in slices {
                let (part, rest) = dst.split_at_mut(slice.room() * PANEL);
                let src = right[slice.term].t().columns(slice.from, slice.depth).t();
                let count = PANEL.min(columns - from);
                if slice.unit {
                    floats.resize(slice.depth * PANEL, 0.0);
                    pack(src, from, count, PANEL, &mut floats);
                    amx::lay_out_right(&floats, amx::words_mut(part));
                } else {
                    pack(src, from, count, PANEL, part);
                }
                dst = rest;
            }
        }
    });
}

/// Elements before the next line of the cache: a vector that begins between two lines is read twice.
fn to_line(copies: &[f32]) -> usize {
    copies.as_ptr().align_offset(size_of::<[f32; LINE]>())
}

/// What [`copy_panels`] wrote.
fn aligned(copies: &[f32]) -> &[f32] {
    &copies[to_line(copies)..]
}

thread_local! {
    /// A task's copy of the left matrix. Tasks do not wait for others, so none begins inside another on its thread.
    static COPIES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Memory of some floats, whose values are of no matter.
fn room(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// Targets, cut into tasks of some rows and panels each.
struct Tasks<'t, 'm> {
    targets: Vec<(Target, &'t [Mat<'m>])>,
    columns: usize,
    panels: usize,
    /// Target and rows.
    blocks: Vec<(usize, [usize; 2])>,
    panels_per_task: usize,
    parallel: bool,
}

impl<'t, 'm> Tasks<'t, 'm> {
    /// `None` where there is nothing to write.
    fn of(targets: &'t mut [(MatMut<'_>, Vec<Mat<'m>>)], slices: &[Slice]) -> Option<Self> {
        let columns = targets.first().map_or(0, |(dst, _)| dst.columns);
        let rows = targets.iter().map(|(dst, _)| dst.rows).sum::<usize>();
        assert!(!slices.is_empty(), "a sum of products has a term");
        if rows == 0 || columns == 0 {
            return None;
        }
        let depth = slices.iter().map(|s| s.depth).sum::<usize>();
        let panels = columns.div_ceil(PANEL);
        // Every task lays out its rows for the unit: few tasks share them.
        let (most, least) = match slices[0].unit {
            true => (BLOCK.min(rows.div_ceil(TASKS).next_multiple_of(2 * amx::SIDE)), UNIT_PANELS),
            false => (BLOCK.min((rows * panels).div_ceil(TASKS).next_multiple_of(ROWS)), 1),
        };
        let blocks = targets.iter().enumerate().flat_map(|(target, (dst, _))| {
            let step = even(dst.rows, most);
            (0..dst.rows).step_by(step).map(move |from| (target, [from, (from + step).min(dst.rows)]))
        });
        let blocks = blocks.collect::<Vec<_>>();
        let panels_per_task = even(panels, panels.div_ceil(TASKS.div_ceil(blocks.len())).max(least));
        let targets = targets.iter_mut().map(|(dst, left)| {
            let result = Target { start: dst.data.as_mut_ptr().cast(), columns, row_stride: dst.row_stride };
            (result, left.as_slice())
        });
        let targets = targets.collect();
        Some(Self {
            targets,
            columns,
            panels,
            blocks,
            panels_per_task,
            parallel: rows * columns * depth > 64 * 64 * 64,
        })
    }

    /// `copies` hold the slices' rows of the right matrices in panels.
    fn run(&self, slices: &[Slice], copies: &[f32], base: Base<'_>) {
        let depth = slices.iter().map(Slice::room).sum::<usize>();
        assert!(copies.len() >= depth * self.panels * PANEL, "copies do not fit");
        // The base in whole panels.
        let row = match base {
            Base::Row(row) => [row, &vec![0.0; self.panels * PANEL - self.columns]].concat(),
            _ => Vec::new(),
        };
        let base = if let Base::Row(_) = base { Base::Row(&row) } else { base };
        let across = self.panels.div_ceil(self.panels_per_task);
        let task = |task: usize| {
            let (target, rows) = self.blocks[task / across];
            let first = task % across * self.panels_per_task;
            let panels = [first, (first + self.panels_per_task).min(self.panels)];
            let (target, left) = self.targets[target];
            // SAFETY: the views were checked against their slices, those of the targets are borrowed mutably and disjoint,
            // and so are the tasks' rows and panels.
            COPIES.with_borrow_mut(|copy| unsafe { target.add(rows, panels, left, slices, copies, base, copy) });
        };
        let tasks = 0..self.blocks.len() * across;
        match self.parallel {
            true => tasks.into_par_iter().for_each(task),
            false => tasks.for_each(task),
        }
    }
}

/// A part of the depth: rows [from, from + depth) of the right matrix of a term.
struct Slice {
    term: usize,
    from: usize,
    depth: usize,
    /// Whether the matrix unit multiplies it.
    unit: bool,
}

impl Slice {
    /// Rows that a copy has room for.
    fn room(&self) -> usize {
        if self.unit { amx::depth(self.depth) } else { self.depth }
    }
}

/// Copies columns [from, from + count) of `src` into rows of `width`, the rest of which become 0.
fn pack(src: Mat<'_>, from: usize, count: usize, width: usize, dst: &mut [f32]) {
    let src = src.columns(from, count);
    if src.column_stride == 1 {
        for (r, dst) in dst.chunks_exact_mut(width).enumerate() {
            dst[..count].copy_from_slice(&src.data[r * src.row_stride..][..count]);
            dst[count..].fill(0.0);
        }
        return;
    }
    let whole = match (src.row_stride, count) {
        (1, PANEL) => pack_columns::<PANEL>(src, dst),
        (1, ROWS) if width == ROWS => pack_columns::<ROWS>(src, dst),
        _ => 0,
    };
    // The lines of so many rows of `dst` stay in the cache.
    for (i, dst) in dst[whole * width..].chunks_mut(LINE * width).enumerate() {
        for c in 0..count {
            let start = (whole + i * LINE) * src.row_stride + c * src.column_stride;
            let src = src.data[start..].iter().step_by(src.row_stride);
            dst[c..].iter_mut().step_by(width).zip(src).for_each(|(d, s)| *d = *s);
        }
        dst.chunks_exact_mut(width).for_each(|row| row[count..].fill(0.0));
    }
}

/// Copies `W` columns, whose elements lie one after the other, into rows of `W`, and returns how many rows: a whole number of
/// lines of the cache. Loops of a known length take a quarter of the time.
fn pack_columns<const W: usize>(src: Mat<'_>, dst: &mut [f32]) -> usize {
    let (rows, _) = dst.as_chunks_mut::<W>();
    let (blocks, _) = rows.as_chunks_mut::<LINE>();
    for (i, block) in blocks.iter_mut().enumerate() {
        for c in 0..W {
            let (column, _) = src.data[i * LINE + c * src.column_stride..].as_chunks::<LINE>();
            for (row, x) in block.iter_mut().zip(column[0]) {
                row[c] = x;
            }
        }
    }
    blocks.len() * LINE
}

/// Copies rows [from, to) of `src` for tiles of `step` rows: a column of a tile after the other.
fn pack_tiles(src: Mat<'_>, [from, to]: [usize; 2], step: usize, dst: &mut [f32]) {
    if src.row_stride == 1 {
        // A column lies in one piece: read once, it is dealt out to the tiles.
        for k in 0..src.columns {
            let column = &src.data[k * src.column_stride + from..][..to - from];
            for (part, tile) in column.chunks(step).zip(dst.chunks_mut(step * src.columns)) {
                tile[k * part.len()..][..part.len()].copy_from_slice(part);
            }
        }
        return;
    }
    for (row, tile) in (from..to).step_by(step).zip(dst.chunks_mut(step * src.columns)) {
        let count = step.min(to - row);
        pack(src.t(), row, count, count, tile);
    }
}

/// Lays out rows [from, to) of `src` for the matrix unit.
fn lay_out<'d>(src: Mat<'_>, [from, to]: [usize; 2], dst: &'d mut [u32]) -> &'d [u32] {
    assert!(src.column_stride == 1, "the left matrix lies in rows");
    amx::lay_out_left(&src.data[from * src.row_stride..], src.row_stride, to - from, src.columns, dst);
    dst
}

/// The result of a product.
#[derive(Clone, Copy)]
struct Target {
    start: *mut f32,
    columns: usize,
    row_stride: usize,
}

// SAFETY: tasks write disjoint tiles of slices that are borrowed mutably while they run.
unsafe impl Sync for Target {}

impl Target {
    /// Adds the product of slices to the rows and panels [from, to). `right` has their rows of the right matrices, a panel
    /// after the other.
    ///
    /// # Safety
    /// The target lies in a slice, and nobody else uses these rows and panels meanwhile.
    #[allow(clippy::too_many_arguments)]
    unsafe fn add(
        self,
        [from, to]: [usize; 2],
        panels: [usize; 2],
        left: &[Mat<'_>],
        slices: &[Slice],
        right: &[f32],
        base: Base<'_>,
        buffer: &mut Vec<f32>,
    ) {
        let step = even(to - from, ROWS);
        let offsets: [usize; DEPTH] = std::array::from_fn(|k| k * PANEL);
        let depth = slices.iter().map(Slice::room).sum::<usize>();
        let mut before = 0;
        for (i, slice) in slices.iter().enumerate() {
            let base = if i > 0 { Base::Result } else { base };
            let left = left[slice.term].columns(slice.from, slice.depth);
            let start = |panel: usize| match base {
                Base::Zero => Start::Zero,
                Base::Row(row) => Start::Row(row[panel * PANEL..].as_ptr()),
                Base::Result => Start::Result,
            };
            if slice.unit {
                let copy = room(buffer, amx::words(to - from, slice.depth));
                let left = amx::Left::laid_out(lay_out(left, [from, to], amx::words_mut(copy)), slice.depth);
                for panel in panels[0]..panels[1] {
                    let right = &right[(panel * depth + before) * PANEL..][..slice.room() * PANEL];
                    let width = PANEL.min(self.columns - panel * PANEL);
                    let dst = self.start.wrapping_add(from * self.row_stride + panel * PANEL);
                    let sizes = [to - from, width];
                    // SAFETY: the unit is there; the target by the contract.
                    unsafe { amx::product(sizes, left, amx::as_words(right), dst, self.row_stride, start(panel)) };
                }
                before += slice.room();
                continue;
            }
            // A copy costs less than it saves where it is read often, or where rows that begin in the same set of the cache
            // would drive one another out.
            let often = panels[1] - panels[0] >= 8;
            let strides = [left.row_stride, left.column_stride];
            let in_place = strides.contains(&1) && !strides.iter().any(|s| s.is_multiple_of(512)) && !often;
            if !in_place {
                pack_tiles(left, [from, to], step, room(buffer, (to - from) * slice.depth));
            }
            for panel in panels[0]..panels[1] {
                let right = &right[(panel * depth + before) * PANEL..][..slice.depth * PANEL];
                let width = PANEL.min(self.columns - panel * PANEL);
                for row in (from..to).step_by(step) {
                    let rows = step.min(to - row);
                    let (left, strides) = match in_place {
                        true => (&left.data[row * left.row_stride..], strides),
                        false => (&buffer[(row - from) * slice.depth..], [1, rows]),
                    };
                    let dst = self.start.wrapping_add(row * self.row_stride + panel * PANEL);
                    let mut tile = Tile {
                        rows,
                        width: PANEL,
                        left: left.as_ptr(),
                        strides,
                        right: right.as_ptr(),
                        offsets: &offsets[..slice.depth],
                        dst,
                        dst_stride: self.row_stride,
                        start: start(panel),
                    };
                    // SAFETY: the left matrix was checked against its slice, and the copies have these sizes; the target by
                    // the contract, where a panel that is not whole goes through `edge`.
                    unsafe {
                        if width == PANEL {
                            tile.run();
                            continue;
                        }
                        let row = |r: usize| dst.add(r * self.row_stride);
                        let mut edge = [[0f32; PANEL]; ROWS];
                        if matches!(base, Base::Result) {
                            (0..rows).for_each(|r| row(r).copy_to_nonoverlapping(edge[r].as_mut_ptr(), width));
                        }
                        tile.width = width.next_multiple_of(WIDTHS);
                        tile.dst = edge.as_mut_ptr().cast();
                        tile.dst_stride = PANEL;
                        tile.run();
                        (0..rows).for_each(|r| row(r).copy_from_nonoverlapping(edge[r].as_ptr(), width));
                    }
                }
            }
            before += slice.room();
        }
    }
}
