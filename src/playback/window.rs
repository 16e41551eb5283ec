//! The window: the stage's picture of this moment, and the keys.

use std::num::NonZero;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use softbuffer::{Context, Surface};
use winit::application::ApplicationHandler;
use winit::dpi::PhysicalSize;
use winit::event::{ElementState, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop};
use winit::keyboard::{Key as WinitKey, NamedKey};
use winit::window::{Window, WindowId};

use super::PlaybackError;
use super::stage::Stage;
use crate::sink::Picture;

/// How often the clock is asked whether the next picture is due: well under the 16.7 ms of a 60 Hz screen.
const POLL: Duration = Duration::from_millis(4);

/// A key that the window understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Key {
    /// Space: pause or go on.
    Space,
    /// Escape: stop.
    Escape,
    /// The letter q, or the button that closes the window.
    Quit,
    /// The arrow to the right: skip the sentence.
    Right,
}

/// Shows the picture of a stage until `goes_on` says no. It is called every few milliseconds, with a key where one was
/// pressed.
///
/// Runs on the calling thread, which must be the main thread on all systems but Linux, and can be called once in a process.
///
/// # Errors
/// [`PlaybackError::Window`] where no window can be opened.
pub fn show(stage: &Stage, title: &str, goes_on: impl FnMut(Option<Key>) -> bool) -> Result<(), PlaybackError> {
    let event_loop = event_loop().map_err(window_error)?;
    let mut app = App { stage, title, goes_on, window: None, shown: None, failure: None };
    event_loop.run_app(&mut app).map_err(window_error)?;
    match app.failure {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

fn event_loop() -> Result<EventLoop<()>, winit::error::EventLoopError> {
    let mut builder = EventLoop::builder();
    #[cfg(target_os = "linux")]
    {
        use winit::platform::{wayland, x11};
        x11::EventLoopBuilderExtX11::with_any_thread(&mut builder, true);
        wayland::EventLoopBuilderExtWayland::with_any_thread(&mut builder, true);
    }
    builder.build()
}

fn window_error(error: impl std::fmt::Display) -> PlaybackError {
    PlaybackError::Window(error.to_string())
}

type WindowSurface = Surface<Rc<Window>, Rc<Window>>;

struct App<'a, F> {
    stage: &'a Stage,
    title: &'a str,
    goes_on: F,
    window: Option<(Rc<Window>, WindowSurface)>,
    shown: Option<Arc<Picture>>,
    failure: Option<PlaybackError>,
}

impl<F: FnMut(Option<Key>) -> bool> App<'_, F> {
    fn open(&mut self, event_loop: &ActiveEventLoop, width: u32, height: u32) -> Result<(), PlaybackError> {
        let attributes =
            Window::default_attributes().with_title(self.title).with_inner_size(PhysicalSize::new(width, height));
        let window = Rc::new(event_loop.create_window(attributes).map_err(window_error)?);
        let context = Context::new(Rc::clone(&window)).map_err(window_error)?;
        let surface = Surface::new(&context, Rc::clone(&window)).map_err(window_error)?;
        self.window = Some((window, surface));
        Ok(())
    }

    fn draw(&mut self) -> Result<(), PlaybackError> {
        let (Some((window, surface)), Some(picture)) = (&mut self.window, &self.shown) else { return Ok(()) };
        let size = window.inner_size();
        let (Some(width), Some(height)) = (NonZero::new(size.width), NonZero::new(size.height)) else { return Ok(()) };
        surface.resize(width, height).map_err(window_error)?;
        let mut buffer = surface.buffer_mut().map_err(window_error)?;
        blit(picture, &mut buffer, size.width as usize, size.height as usize);
        buffer.present().map_err(window_error)
    }

    /// Opens the window with the first picture, and asks for a redraw where there is a new one.
    fn advance(&mut self, event_loop: &ActiveEventLoop) -> Result<(), PlaybackError> {
        let Some(picture) = self.stage.picture() else { return Ok(()) };
        if self.window.is_none() {
            self.open(event_loop, picture.width, picture.height)?;
        }
        let is_new = self.shown.as_ref().is_none_or(|shown| !Arc::ptr_eq(shown, &picture));
        self.shown = Some(picture);
        if let (true, Some((window, _))) = (is_new, &self.window) {
            window.request_redraw();
        }
        Ok(())
    }

    fn end_with(&mut self, event_loop: &ActiveEventLoop, outcome: Result<(), PlaybackError>) {
        if let Err(failure) = outcome {
            self.failure = Some(failure);
            event_loop.exit();
        }
    }
}

/// Scales a picture into a window of any size, keeping its shape, black around it.
fn blit(picture: &Picture, target: &mut [u32], width: usize, height: usize) {
    let (from_width, from_height) = (picture.width as usize, picture.height as usize);
    let scale = (width as f64 / from_width as f64).min(height as f64 / from_height as f64);
    let shown_width = ((from_width as f64 * scale) as usize).clamp(1, width);
    let shown_height = ((from_height as f64 * scale) as usize).clamp(1, height);
    let (left, top) = ((width - shown_width) / 2, (height - shown_height) / 2);
    target.fill(0);
    for y in 0..shown_height {
        let row = &picture.rgb[(y * from_height / shown_height) * from_width * 3..][..from_width * 3];
        let out = &mut target[(top + y) * width + left..][..shown_width];
        for (x, pixel) in out.iter_mut().enumerate() {
            let rgb = &row[(x * from_width / shown_width) * 3..][..3];
            *pixel = u32::from(rgb[0]) << 16 | u32::from(rgb[1]) << 8 | u32::from(rgb[2]);
        }
    }
}

impl<F: FnMut(Option<Key>) -> bool> ApplicationHandler for App<'_, F> {
    fn resumed(&mut self, _event_loop: &ActiveEventLoop) {}

    fn window_event(&mut self, event_loop: &ActiveEventLoop, _id: WindowId, event: WindowEvent) {
        let key = match event {
            WindowEvent::RedrawRequested => {
                let outcome = self.draw();
                return self.end_with(event_loop, outcome);
            }
            WindowEvent::CloseRequested => Some(Key::Quit),
            WindowEvent::KeyboardInput { event, .. } if event.state == ElementState::Pressed && !event.repeat => {
                match event.logical_key.as_ref() {
                    WinitKey::Named(NamedKey::Space) => Some(Key::Space),
                    WinitKey::Named(NamedKey::Escape) => Some(Key::Escape),
                    WinitKey::Named(NamedKey::ArrowRight) => Some(Key::Right),
                    WinitKey::Character("q" | "Q") => Some(Key::Quit),
                    _ => None,
                }
            }
            _ => None,
        };
        if key.is_some() && !(self.goes_on)(key) {
            event_loop.exit();
        }
    }

    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        if !(self.goes_on)(None) {
            return event_loop.exit();
        }
        let outcome = self.advance(event_loop);
        self.end_with(event_loop, outcome);
        event_loop.set_control_flow(ControlFlow::WaitUntil(Instant::now() + POLL));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_shape_in_a_wider_window() {
        let picture = Picture { width: 2, height: 1, rgb: vec![255, 0, 0, 0, 0, 255] };
        let mut target = vec![7; 8 * 2];
        blit(&picture, &mut target, 8, 2);
        let row = [0, 0, 0xff0000, 0xff0000, 0x0000ff, 0x0000ff, 0, 0];
        assert_eq!(target, [row, row].concat());
    }
}
