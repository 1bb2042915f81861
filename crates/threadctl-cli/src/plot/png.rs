//! The picture as PNG: the SVG, rendered with a font that comes along, since a machine that computes often has none.

use std::sync::Arc;

use anyhow::{Context, Result};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

/// DejaVu Sans, the letters of European languages (fonts/README.md). Others are drawn as boxes.
const FONT: &[u8] = include_bytes!("../../fonts/DejaVuSans-subset.ttf");

/// Its name, as it is in the file.
const FAMILY: &str = "DejaVu Sans";

/// Dots per unit of the drawing: sharp on today's screens, and on paper.
const SHARP: f32 = 2.0;

/// Renders it.
pub(super) fn png(svg: &str) -> Result<Vec<u8>> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family(FAMILY);
    let options = Options {
        fontdb: Arc::new(fonts),
        font_family: FAMILY.to_owned(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).context("the picture cannot be read back")?;
    let size = tree.size().to_int_size();
    let dots = |units: u32| (units as f32 * SHARP) as u32;
    let mut pixels =
        Pixmap::new(dots(size.width()), dots(size.height())).context("no room for the picture")?;
    resvg::render(
        &tree,
        Transform::from_scale(SHARP, SHARP),
        &mut pixels.as_mut(),
    );
    pixels.encode_png().context("the picture cannot be encoded")
}
