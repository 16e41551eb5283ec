//! The promises of the clock, for any durations, any rate and texts of up to an hour.

use proptest::prelude::*;

use super::*;

const RATES: [&str; 8] = ["23.976", "24", "25", "29.97", "30", "50", "59.94", "60"];

fn rate() -> impl Strategy<Value = Fps> {
    prop::sample::select(RATES.to_vec()).prop_map(|text| text.parse().unwrap())
}

/// Durations in mel frames: fractions, zeros and long pauses; up to 3000 symbols of up to 96 mel frames are an hour.
fn durations() -> impl Strategy<Value = Vec<f32>> {
    let duration = prop_oneof![4 => 0.0f32..12.0, 2 => Just(0.0f32), 1 => 12.0f32..400.0, 1 => 0.0f32..0.01];
    let short = prop::collection::vec(duration, 1..60);
    let hour = prop::collection::vec(0.0f32..192.0, 1000..3000);
    prop_oneof![9 => short, 1 => hour].prop_filter("has a length", |durations| durations.iter().sum::<f32>() > 0.1)
}

fn timeline() -> impl Strategy<Value = Timeline> {
    (durations(), 0.5f64..2.0)
        .prop_map(|(durations, pace)| Timeline::from_mel_frames(&durations, HOP_LENGTH, pace).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_boundary_is_the_exact_sum_rounded_once(durations in durations(), pace in 0.25f64..4.0) {
        let timeline = Timeline::from_mel_frames(&durations, HOP_LENGTH, pace).unwrap();
        prop_assert_eq!(timeline.symbols(), durations.len());
        let mut sum = 0.0f64;
        for (duration, boundary) in durations.iter().zip(&timeline.boundaries()[1..]) {
            sum += f64::from(*duration);
            prop_assert!((sum * 300.0 / pace - *boundary as f64).abs() <= 0.5 + 1e-6);
        }
    }

    #[test]
    fn sound_and_video_end_within_half_a_video_frame(timeline in timeline(), fps in rate()) {
        let video_frames = timeline.video_frames(fps);
        let video_s = video_frames as f64 / fps.as_f64();
        let half = 0.5 / fps.as_f64();
        if timeline.total_s() >= half {
            prop_assert!((video_s - timeline.total_s()).abs() <= half + 1e-9);
        } else {
            prop_assert_eq!(video_frames, 1);
        }
        prop_assert_eq!(timeline.video_places(fps).len() as u64, video_frames);
    }

    #[test]
    fn places_tell_the_time(timeline in timeline(), fps in rate()) {
        for (k, place) in timeline.video_places(fps).iter().enumerate().step_by(7) {
            let symbol = timeline.span(place.symbol..place.symbol + 1);
            prop_assert!(symbol.end > symbol.start, "a symbol without length is never shown");
            let time_s = fps.video_frame_time(k as u64).min(timeline.total_s());
            prop_assert!((symbol.start as f64 / 24_000.0 + f64::from(place.since_start_s) - time_s).abs() < 1e-4);
            prop_assert!((symbol.end as f64 / 24_000.0 - f64::from(place.to_end_s) - time_s).abs() < 1e-4);
            prop_assert!(place.since_start_s >= 0.0 && place.to_end_s >= 0.0);
        }
    }

    #[test]
    fn symbol_at_agrees_with_the_boundaries(timeline in timeline(), at in 0.0f64..1.1) {
        let sample = (timeline.total_samples() as f64 * at) as u64;
        let symbol = timeline.span(timeline.symbol_at(sample)..timeline.symbol_at(sample) + 1);
        prop_assert!(symbol.contains(&sample.min(timeline.total_samples() - 1)));
    }

    #[test]
    fn sentence_by_sentence_gives_the_video_frames_of_the_whole(
        sentences in prop::collection::vec(timeline(), 1..6), fps in rate()
    ) {
        let mut whole = sentences[0].clone();
        for sentence in &sentences[1..] {
            whole.append(sentence).unwrap();
        }
        prop_assert_eq!(whole.total_samples(), sentences.iter().map(Timeline::total_samples).sum::<u64>());
        let (mut start_sample, mut first_symbol) = (0, 0);
        let mut pieces = Vec::new();
        for sentence in &sentences {
            pieces.extend(sentence.video_places_from(start_sample, fps).map(|(k, place)| (k, place.symbol + first_symbol)));
            start_sample += sentence.total_samples();
            first_symbol += sentence.symbols();
        }
        let places = whole.video_places(fps);
        let expected: Vec<_> = places.iter().enumerate().map(|(k, place)| (k as u64, place.symbol)).collect();
        if timeline_holds_a_video_frame(&whole, fps) {
            prop_assert_eq!(pieces, expected);
        }
    }

    #[test]
    fn fit_to_is_exact_and_keeps_order(timeline in timeline(), total in 1u64..200_000_000) {
        let fitted = timeline.fit_to(total).unwrap();
        prop_assert_eq!(fitted.total_samples(), total);
        prop_assert_eq!(fitted.symbols(), timeline.symbols());
        let ratio = total as f64 / timeline.total_samples() as f64;
        for (new, old) in fitted.boundaries().iter().zip(timeline.boundaries()) {
            prop_assert!((*new as f64 - *old as f64 * ratio).abs() <= 0.5 + 1e-6);
        }
        prop_assert!(fitted.boundaries().is_sorted());
    }

    #[test]
    fn scaling_keeps_order_and_pauses_scale_alone(timeline in timeline(), factor in 0.3f64..3.0, seed in any::<u64>()) {
        let scaled = timeline.scaled(factor).unwrap();
        prop_assert!(scaled.boundaries().is_sorted());
        prop_assert!((scaled.total_samples() as f64 - timeline.total_samples() as f64 * factor).abs() <= 0.5);
        let is_pause: Vec<bool> = (0..timeline.symbols()).map(|i| (seed >> (i % 64)) & 1 == 1).collect();
        let Ok(paused) = timeline.with_pause_scale(&is_pause, factor) else {
            return Ok(());
        };
        for (i, &is_pause) in is_pause.iter().enumerate() {
            let length = |timeline: &Timeline| timeline.boundaries()[i + 1] as f64 - timeline.boundaries()[i] as f64;
            let expected = length(&timeline) * if is_pause { factor } else { 1.0 };
            prop_assert!((length(&paused) - expected).abs() <= 1.0);
        }
    }

    #[test]
    fn mel_frames_cover_the_whole(timeline in timeline()) {
        let places = timeline.mel_places();
        let covered = places.len() as u64 * 300;
        prop_assert!(covered >= timeline.total_samples() && covered < timeline.total_samples() + 300);
        prop_assert_eq!(places, timeline.places_at_rate(80.0));
    }
}

fn timeline_holds_a_video_frame(timeline: &Timeline, fps: Fps) -> bool {
    timeline.total_s() > 0.5 / fps.as_f64()
}

#[test]
fn symbols_without_length_are_stepped_over() {
    let timeline = Timeline::from_mel_frames(&[0.0, 2.0, 0.0, 0.0, 1.5, 0.0], HOP_LENGTH, 1.0).unwrap();
    assert_eq!(timeline.boundaries(), [0, 0, 600, 600, 600, 1050, 1050]);
    assert_eq!([0, 599, 600, 1049, 1050, u64::MAX].map(|sample| timeline.symbol_at(sample)), [1, 1, 4, 4, 4, 4]);
    assert_eq!(timeline.place_at(300), Place { symbol: 1, since_start_s: 0.0125, to_end_s: 0.0125 });
    assert_eq!(timeline.place_at(2000), Place { symbol: 4, since_start_s: 0.01875, to_end_s: 0.0 });
    assert_eq!(timeline.mel_frames(), 4);
    assert_eq!(timeline.mel_places().iter().map(|place| place.symbol).collect::<Vec<_>>(), [1, 1, 4, 4]);
}

#[test]
fn ten_thousand_short_symbols_do_not_drift() {
    // One third of a mel frame is 100 PCM samples, but no f32 is exactly one third.
    let timeline = Timeline::from_mel_frames(&[1.0 / 3.0; 10_000], HOP_LENGTH, 1.0).unwrap();
    assert_eq!(timeline.total_samples(), 1_000_000);
    assert!(timeline.boundaries().iter().enumerate().all(|(i, &boundary)| boundary == 100 * i as u64));
}

#[test]
fn seconds_of_an_aligned_corpus_become_boundaries() {
    let timeline = Timeline::from_seconds(&[0.0, 0.48, 0.48, 2.98]).unwrap();
    assert_eq!(timeline.boundaries(), [0, 11_520, 11_520, 71_520]);
}

#[test]
fn pauses_can_be_taken_out() {
    let timeline = Timeline::from_boundaries(vec![0, 10, 30, 60]).unwrap();
    assert_eq!(timeline.with_pause_scale(&[true, false, true], 0.0).unwrap().boundaries(), [0, 0, 20, 20]);
    assert_eq!(timeline.with_pause_scale(&[true; 3], 0.0), Err(TimelineError::Empty));
    assert_eq!(timeline.with_pause_scale(&[true; 2], 1.0), Err(TimelineError::Count { given: 2, symbols: 3 }));
}

#[test]
fn impossible_times_are_refused() {
    use TimelineError::*;
    let mel = |durations: &[f32], pace| Timeline::from_mel_frames(durations, HOP_LENGTH, pace).unwrap_err();
    assert_eq!(mel(&[], 1.0), Empty);
    assert_eq!(mel(&[0.0, 0.0], 1.0), Empty);
    assert_eq!(mel(&[1.0, -1.0], 1.0), Duration { symbol: 1, mel_frames: -1.0 });
    assert!(matches!(mel(&[f32::NAN], 1.0), Duration { symbol: 0, .. }));
    assert!(matches!(mel(&[f32::INFINITY], 1.0), Duration { symbol: 0, .. }));
    assert_eq!(mel(&[f32::MAX, 1.0], 1.0), Boundary { index: 1 });
    assert_eq!(mel(&[1.0], 0.0), Scale(0.0));
    assert!(matches!(mel(&[1.0], f64::NAN), Scale(_)));
    let boundaries = |boundaries: &[u64]| Timeline::from_boundaries(boundaries.to_vec()).unwrap_err();
    assert_eq!(boundaries(&[]), Empty);
    assert_eq!(boundaries(&[0]), Empty);
    assert_eq!(boundaries(&[1, 2]), Boundary { index: 0 });
    assert_eq!(boundaries(&[0, 5, 4]), Boundary { index: 2 });
    assert_eq!(boundaries(&[0, u64::MAX]), Boundary { index: 1 });
    assert_eq!(Timeline::from_seconds(&[0.0, f32::NAN, 1.0]), Err(Boundary { index: 1 }));
    assert_eq!(Timeline::from_seconds(&[0.0, -1.0]), Err(Boundary { index: 1 }));
    assert_eq!(Timeline::from_seconds(&[0.0, f32::INFINITY]), Err(Boundary { index: 1 }));
    let timeline = Timeline::from_boundaries(vec![0, 5]).unwrap();
    assert_eq!(timeline.fit_to(0), Err(Empty));
    assert!(timeline.fit_to(u64::MAX).is_err());
    assert!(timeline.scaled(f64::INFINITY).is_err());
    assert_eq!(timeline.scaled(0.01), Err(Empty));
}
