//! The window: the newest picture whose time has come, and nothing queued behind it.

use super::PlaybackError;
use super::live::{LivePlayer, TimedPicture};
use crate::sink::Picture;
use softbuffer::{Context, Surface};
use std::num::NonZero;
use std::rc::Rc;
use std::time::{Duration, Instant};
use winit::application::ApplicationHandler;
use winit::dpi::PhysicalSize;
use winit::event::{ElementState, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop};
use winit::keyboard::{Key, NamedKey};
use winit::window::{Window, WindowId};

/// How often the clock is asked whether the next picture is due: well under the 16.7 ms of a 60 Hz screen.
const POLL: Duration = Duration::from_millis(4);

/// Shows the pictures of a session until all has been heard or the window is closed. Space pauses, escape and q stop.
///
/// Runs on the calling thread, which must be the main thread on some systems.
///
/// # Errors
/// [`PlaybackError::Window`] where no window can be opened.
pub fn show(player: &LivePlayer, title: &str) -> Result<(), PlaybackError> {
    let event_loop = EventLoop::new().map_err(window_error)?;
    let mut app = App { player, title, window: None, next: None, shown: None, paused: false, failure: None };
    event_loop.run_app(&mut app).map_err(window_error)?;
    match app.failure {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

fn window_error(error: impl std::fmt::Display) -> PlaybackError {
    PlaybackError::Window(error.to_string())
}

type WindowSurface = Surface<Rc<Window>, Rc<Window>>;

struct App<'a> {
    player: &'a LivePlayer,
    title: &'a str,
    window: Option<(Rc<Window>, WindowSurface)>,
    next: Option<TimedPicture>,
    shown: Option<Picture>,
    paused: bool,
    failure: Option<PlaybackError>,
}

impl App<'_> {
    fn open(&mut self, event_loop: &ActiveEventLoop, width: u32, height: u32) -> Result<(), PlaybackError> {
        let attributes =
            Window::default_attributes().with_title(self.title).with_inner_size(PhysicalSize::new(width, height));
        let window = Rc::new(event_loop.create_window(attributes).map_err(window_error)?);
        let context = Context::new(Rc::clone(&window)).map_err(window_error)?;
        let surface = Surface::new(&context, Rc::clone(&window)).map_err(window_error)?;
        self.window = Some((window, surface));
        Ok(())
    }

    /// Takes the newest picture that is due; those before it came too late and are dropped.
    fn advance(&mut self) -> bool {
        let position = self.player.position();
        let mut changed = false;
        loop {
            if self.next.is_none() {
                self.next = self.player.pictures().try_recv().ok();
            }
            match self.next.take() {
                Some(timed) if timed.from_sample <= position => {
                    self.shown = Some(timed.picture);
                    changed = true;
                }
                later => {
                    self.next = later;
                    return changed;
                }
            }
        }
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

impl ApplicationHandler for App<'_> {
    fn resumed(&mut self, _event_loop: &ActiveEventLoop) {}

    fn window_event(&mut self, event_loop: &ActiveEventLoop, _id: WindowId, event: WindowEvent) {
        let outcome = match event {
            WindowEvent::CloseRequested => {
                self.player.stop();
                event_loop.exit();
                Ok(())
            }
            WindowEvent::RedrawRequested => self.draw(),
            WindowEvent::KeyboardInput { event, .. } if event.state == ElementState::Pressed => {
                match event.logical_key.as_ref() {
                    Key::Named(NamedKey::Space) => {
                        self.paused = !self.paused;
                        self.player.set_paused(self.paused)
                    }
                    Key::Named(NamedKey::Escape) | Key::Character("q") => {
                        self.player.stop();
                        Ok(())
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        };
        if let Err(failure) = outcome {
            self.failure = Some(failure);
            self.player.stop();
        }
    }

    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        if self.player.is_over() {
            return event_loop.exit();
        }
        if let Some(video) = self.player.try_begun().and_then(|info| info.video)
            && let Err(failure) = self.open(event_loop, video.width, video.height)
        {
            self.failure = Some(failure);
            self.player.stop();
        }
        if self.advance()
            && let Some((window, _)) = &self.window
        {
            window.request_redraw();
        }
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
