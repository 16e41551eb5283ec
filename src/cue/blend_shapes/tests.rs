use super::*;

const RATE: u32 = 24_000;

/// Cues of a sentence: (IPA, milliseconds); "" is a pause.
fn cues(symbols: &[(&str, u64)]) -> (Vec<Cue>, u64) {
    let mut at = 0;
    let mut cues = Vec::new();
    for &(ipa, ms) in symbols {
        let (start_sample, end_sample) = (at, at + ms * 24);
        at = end_sample;
        if !ipa.is_empty() {
            cues.push(Cue {
                kind: CueKind::Phoneme,
                start_sample,
                end_sample,
                text: ipa.into(),
                source: None,
                chars: None,
            });
        }
    }
    (cues, at)
}

fn rows(symbols: &[(&str, u64)], rate: &str) -> Vec<BlendShapes> {
    let (cues, total) = cues(symbols);
    let mut curves = Curves::new(rate.parse().unwrap(), RATE);
    let mut rows: Vec<BlendShapes> = cues.iter().flat_map(|cue| curves.push(cue)).collect();
    rows.extend(curves.finish(total));
    rows
}

fn get(row: &BlendShapes, name: &str) -> f32 {
    row.get(name).unwrap()
}

/// How far the lips are apart.
fn gap(row: &BlendShapes) -> f32 {
    get(row, "jawOpen") - get(row, "mouthClose")
        + ["mouthLowerDownLeft", "mouthUpperUpLeft", "mouthFunnel"].map(|name| get(row, name)).iter().sum::<f32>()
}

/// "A beam, a map. Move!", with a b of 25 ms.
const BEAM: [(&str, u64); 17] = [
    ("", 300),
    ("ə", 60),
    ("b", 25),
    ("i", 120),
    ("m", 70),
    ("", 250),
    ("ə", 50),
    ("m", 60),
    ("æ", 130),
    ("p", 60),
    ("", 600),
    ("m", 60),
    ("u", 140),
    ("v", 60),
    ("", 200),
    ("θ", 80),
    ("", 400),
];

#[test]
fn lips_meet_at_every_closure_at_any_rate_and_open_in_between() {
    for rate in ["10", "24", "25", "29.97", "60", "100"] {
        let rows = rows(&BEAM, rate);
        let fps: Fps = rate.parse().unwrap();
        let (cues, total) = cues(&BEAM);
        assert_eq!(rows.len() as u64, fps.video_frames(total, RATE), "{rate}");
        let half = f64::from(RATE) / fps.as_f64() / 2.0;
        for cue in &cues {
            let middle = (cue.start_sample + cue.end_sample) as f64 / 2.0;
            let near =
                (0..rows.len()).filter(|&k| (fps.video_frame_sample(k as u64, RATE) - middle).abs() <= half * 1.9);
            let gaps: Vec<f32> = near.map(|k| gap(&rows[k])).collect();
            let (least, most) = gaps.iter().fold((9.0_f32, 0.0_f32), |(low, high), &gap| (low.min(gap), high.max(gap)));
            if matches!(&*cue.text, "p" | "b" | "m") {
                assert!(least.abs() < 1e-6, "{rate}: {} leaves a gap of {least}", cue.text);
            } else if fps.as_f64() > 24.0 && matches!(&*cue.text, "i" | "æ" | "u") {
                assert!(most > 0.3, "{rate}: {} opens to {most} only", cue.text);
            }
        }
    }
}

#[test]
fn nothing_moves_in_pauses() {
    let rows = rows(&BEAM, "100");
    let fps: Fps = "100".parse().unwrap();
    let mut at_ms = 0;
    for (index, &(ipa, ms)) in BEAM.iter().enumerate() {
        // A mouth settles for 100 ms at most; before the first and after the last phoneme it does not have to.
        let (from, to) = (at_ms + if index == 0 { 0 } else { 100 }, (at_ms + ms).saturating_sub(100));
        for (k, row) in rows.iter().enumerate().filter(|_| ipa.is_empty()) {
            let moment_ms = fps.video_frame_sample(k as u64, RATE) / 24.0;
            if moment_ms > from as f64 && moment_ms < to as f64 {
                assert_eq!(row.0, [0.0; 52], "at {moment_ms} ms");
            }
        }
        at_ms += ms;
    }
}

#[test]
fn shapes_are_those_of_the_sounds() {
    let at = |symbols: &[(&str, u64)], ms: usize| rows(symbols, "200")[ms / 5];
    assert!(get(&at(&[("", 200), ("θ", 100), ("i", 100), ("", 200)], 250), "tongueOut") > 0.3);
    assert!(get(&at(&[("", 200), ("f", 100), ("i", 100), ("", 200)], 250), "mouthRollLower") > 0.4);
    assert!(get(&at(&[("", 200), ("u", 200), ("", 200)], 300), "mouthPucker") > 0.6);
    let (boo, be) = (
        at(&[("", 200), ("b", 100), ("u", 200), ("", 200)], 250),
        at(&[("", 200), ("b", 100), ("i", 200), ("", 200)], 250),
    );
    assert!(get(&boo, "mouthPucker") > 0.2 && get(&be, "mouthPucker") == 0.0, "a b is as round as its vowel");
    assert!(gap(&boo) < 1e-6 && gap(&be) < 1e-6);
    // A diphthong moves: "eye" opens and then spreads.
    let eye = rows(&[("", 200), ("I", 300), ("", 200)], "200");
    assert!(get(&eye[55], "jawOpen") > 0.5 && get(&eye[85], "jawOpen") < 0.3);
    assert!(get(&eye[85], "mouthSmileLeft") > get(&eye[55], "mouthSmileLeft"));
}

#[test]
fn curves_are_smooth_and_in_range() {
    let rows = rows(&BEAM, "200");
    for pair in rows.windows(2) {
        for (a, b) in pair[0].0.iter().zip(pair[1].0) {
            assert!((0.0..=1.0).contains(a));
            // The fastest move is the whole way of a shape within two phonemes' ends of 15 ms each.
            assert!((a - b).abs() < 0.3, "a jump from {a} to {b}");
        }
    }
}

#[test]
fn streamed_rows_are_those_of_the_whole_and_come_early() {
    let (cues, total) = cues(&BEAM);
    let mut curves = Curves::new(Fps::FPS_25, RATE);
    let mut early = Vec::new();
    for cue in &cues {
        early.extend(curves.push(cue));
    }
    let whole = rows(&BEAM, "25");
    assert!(early.len() > whole.len() / 2);
    early.extend(curves.finish(total));
    assert_eq!(early, whole);
    assert_eq!(Curves::new(Fps::FPS_25, RATE).finish(24_000).len(), 25);
}

#[test]
fn the_file_has_a_name_and_a_value_for_each_blend_shape() {
    let (cues, total) = cues(&BEAM);
    let mut writer = CurveWriter::new("29.97".parse().unwrap(), RATE, Vec::new()).unwrap();
    cues.iter().for_each(|cue| writer.push(cue).unwrap());
    let file: serde_json::Value = serde_json::from_slice(&writer.finish(total).unwrap()).unwrap();
    assert_eq!(file["names"].as_array().unwrap().len(), 52);
    let written = file["rows"].as_array().unwrap();
    let expected = rows(&BEAM, "29.97");
    assert_eq!(written.len(), expected.len());
    for (written, expected) in written.iter().zip(&expected) {
        for (value, expected) in written.as_array().unwrap().iter().zip(expected.0) {
            assert!((value.as_f64().unwrap() - f64::from(expected)).abs() <= 0.000_501);
        }
    }
    assert!((file["rate"].as_f64().unwrap() - 29.97).abs() < 0.001);
}
