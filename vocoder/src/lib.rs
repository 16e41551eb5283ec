//! Mel spectrogram to PCM.
