"""From sounds with their texts to a model that writes what is said."""

import numpy as np
import pytest
from chainrule.sequence_to_text import Decoding, SequenceToTextOptions

import chainrule as cr
from chainrule.errors import ConfigError, DataError, ModelFileError
from chainrule.tasks import recognise
from chainrule.tasks.detection import files_in
from chainrule.tasks.plan import Split
from chainrule.tasks.sequence_to_text import speech_words
from chainrule.tasks.sequence_to_text.ctc_decoding import WordModel
from chainrule.tasks.sequence_to_text.reading import read_frame, read_pairs
from chainrule.tasks.sequence_to_text.schema import SequenceSchema, pieces_of
from chainrule.tasks.sequence_to_text.sounds import SoundSource, is_silent, spoken, steps_needed
from chainrule.tasks.sequence_to_text.word_ngrams import WordNGrams
from chainrule.tasks.transcripts import transcripts_of

from .sounds_of_tones import RATE, texts, tones, write_sound, write_table


def options(**more):
    usual = {"target": "text", "hidden": (32,), "epochs": 20, "batch_size": 8, "lr": 2e-2,
             "dropout": 0.0, "backend": "numpy", "language_model": "none"}  # fmt: skip
    return SequenceToTextOptions(**(usual | more))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    write_table(folder, 80)
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    said = []
    found = cr.sequence_to_text.train(
        folder / "said.csv", options(), progress=False, say=said.append
    )
    return found, said


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("tones") / "model.safetensors"
    trained[0].save(path)
    return cr.sequence_to_text.load(path)


def test_what_is_said_is_learned(trained):
    result, _ = trained
    report = result.report
    assert [*report["metrics"]] == ["word_error_rate", "character_error_rate", "exact_match"]
    assert report["metrics"]["character_error_rate"] < 0.1
    assert report["baselines"]["most frequent"]["character_error_rate"] > 0.5


def test_the_report_shows_when_each_letter_was_heard(trained):
    found = {section.name: section for section in trained[0].examine()}
    assert {"written", "alignment"} <= {*found}
    chart = found["alignment"].blocks[0]
    assert chart.y.categories[0] in "abcd"
    cells = np.array(chart.marks[0].values)
    assert cells.shape == (len(chart.y.categories), len(chart.x.categories))
    assert cells.max(axis=1).min() > 0.5
    assert cells.max() <= 1.0


def test_new_sounds_are_read_from_files_tables_and_folders(model, tmp_path):
    new = ["dad cab", "b add"]
    for number, text in enumerate(new):
        write_sound(tmp_path / f"{number}.wav", tones(text, 500 + number))
    paths = [str(tmp_path / f"{number}.wav") for number in range(2)]
    assert [found[0].text for found in model.write(paths)] == new
    assert model.predict(tmp_path)["prediction"].to_list() == new
    assert model.predict(paths[1])["prediction"].to_list() == new[1:]
    (tmp_path / "new.csv").write_text("sound\n0.wav\n1.wav\n")
    found = model.predict(tmp_path / "new.csv", proba=True)
    assert found["prediction"].to_list() == new
    assert (found["log_score"] <= 0).all()
    (tmp_path / "0.txt").write_text("Dad: cab.")
    (tmp_path / "1.txt").write_text("B add")
    assert model.evaluate(tmp_path)["word_error_rate"] == 0.0


def test_a_sound_does_not_depend_on_those_beside_it(model, folder):
    paths = sorted(map(str, (folder / "sounds").glob("*.wav")))[:6]
    lengths = model.schema.source.lengths([model.schema.source.given(p) for p in paths])
    assert len(set(lengths.tolist())) > 1
    among = model.write(paths)
    for path, found in zip(paths, among, strict=True):
        [alone] = model.write([path])
        assert alone[0].text == found[0].text
        assert alone[0].score == pytest.approx(found[0].score, abs=1e-4)


def test_a_beam_finds_several_texts_and_words_help(model, folder):
    path = str(folder / "sounds" / "0.wav")
    [best] = model.write([path], Decoding(beam=8, best=3))
    assert len(best) == 3
    assert best[0].score >= best[1].score >= best[2].score
    assert best[0].text == texts(80)[0]
    grams = WordNGrams.fit(["cab dad"] * 5, 2)
    language = WordModel(grams, pieces_of(model.schema.tokenizer))
    how = Decoding(beam=16, language=language, language_weight=50.0)
    [forced] = model.write([path], how)
    assert forced[0].text != best[0].text


def test_words_are_kept_if_they_lower_the_errors_of_held_out_sounds(model, folder, monkeypatch):
    """In every text one letter is heard wrongly, but only just."""
    schema = model.schema
    frame, _ = read_frame(folder / "said.csv", None)
    pairs = read_pairs([frame], schema.source, "text", str(folder / "said.csv"), lambda note: None)
    held_out = pairs.take(np.arange(6))

    def heard(wrong):
        tokens = [schema.tokenizer.encode(text) for text in held_out.target]
        longest = 2 * max(map(len, tokens))
        z = np.zeros((6, longest, len(schema.tokenizer)))
        z[:, :, 0] = 9.0
        for row, labels in enumerate(tokens):
            steps = 2 * np.arange(len(labels))
            z[row, steps] = -9.0
            z[row, steps, labels] = 9.0
            if wrong:
                other = schema.tokenizer.encode("b" if held_out.target[row][0] != "b" else "c")
                z[row, 0, other] = 9.1
        scores = z - np.log(np.exp(z).sum(-1, keepdims=True))
        return lambda *given: (scores, np.array([2 * len(labels) for labels in tokens]))

    split, said = Split(pairs, held_out, None), []
    usual = SequenceToTextOptions(target="text")
    monkeypatch.setattr(speech_words, "scores_of", heard(False))
    found = speech_words.helped_by_words(schema, None, split, usual, said.append)
    assert found.words is None
    monkeypatch.setattr(speech_words, "scores_of", heard(True))
    found = speech_words.helped_by_words(schema, None, split, usual, said.append)
    assert found.words is not None
    assert len(said) == 1
    assert "50.0 % without them, 0.0 % with them, on 6 sounds" in said[0]
    again = SequenceSchema.from_json(found.to_json(), "here")
    assert again.how.language is not None
    assert again.decoding == found.decoding
    none = options(language_model="none")
    assert speech_words.helped_by_words(schema, None, split, none, said.append) is schema
    with pytest.raises(ConfigError, match="no such language model"):
        speech_words.helped_by_words(schema, None, split, options(language_model="x"), said.append)


def test_the_schema_comes_back_from_its_file(model):
    content = model.schema.to_json()
    again = SequenceSchema.from_json(content, "here")
    assert again.to_json() == content
    for damage in ({"rate": "x"}, {"stride": 3}, {"deviation": []}, {"form": "sung"}):
        broken = content | {"source": content["source"] | damage}
        with pytest.raises(ModelFileError, match="damaged"):
            SequenceSchema.from_json(broken, "here")


# ---- what is done with a model besides -------------------------------------------------------


def test_examples_to_explain_have_the_loss_of_the_training(model, folder):
    found = model.examples(folder / "said.csv", [3, 1])
    z = model.network({name: cr.tensor(a) for name, a in found.inputs.items()})
    loss = found.loss(z, cr.tensor(found.target)).item()
    assert 0 <= loss < 0.3
    assert found.raw[0].prediction == texts(80)[3]
    assert found.target[0, 1] == len(texts(80)[3])


def test_an_update_and_a_warm_start_go_on_from_the_model(
    trained, folder, tmp_path, without_compiler
):
    from chainrule.tasks.update import update

    trained[0].save(tmp_path / "model.safetensors")
    report = update(
        tmp_path / "model.safetensors", folder / "said.csv", progress=False, epochs=1, lr=1e-4
    ).report  # fmt: skip
    assert report["metrics"]["character_error_rate"] < 0.1
    found = cr.sequence_to_text.train(
        folder / "said.csv",
        options(epochs=1, lr=1e-4, hidden=None, from_model=str(tmp_path / "model.safetensors")),
        progress=False,
    )
    assert found.report["metrics"]["character_error_rate"] < 0.1


def test_sounds_to_label_next_are_found(model, folder):
    from chainrule.tasks.label_next import next_rows

    found = next_rows(model, folder / "sounds", 5)
    assert found.height == 5
    assert found["row"].n_unique() == 5


# ---- what cannot be learned from -------------------------------------------------------------


def test_texts_that_are_too_long_and_silence_are_named(folder, tmp_path, without_compiler):
    table = (folder / "said.csv").read_text().splitlines()[:31]
    rows = [f"{folder}/{row}" for row in table[1:]]
    write_sound(tmp_path / "short.wav", tones("a"))
    write_sound(tmp_path / "silent.wav", np.zeros(RATE))
    rows += ["short.wav," + "abcd " * 12, "silent.wav,abc", f"{folder}/sounds/70.wav,[noise]"]
    (tmp_path / "said.csv").write_text("\n".join(["file,text", *rows]))
    said = []
    result = cr.sequence_to_text.train(
        tmp_path / "said.csv", options(epochs=1), progress=False, say=said.append
    )
    told = " ".join(said)
    assert "short.wav: its text has 59 tokens, for which CTC needs 59 steps" in told
    assert "silent.wav: nothing is heard in it" in told
    assert "row 32 has no source or no target" in told
    assert sum(result.report["rows"].values()) == 30


def test_most_texts_too_long_is_an_error(tmp_path):
    lines = ["file,text"]
    for number, text in enumerate(texts(20)):
        write_sound(tmp_path / f"{number}.wav", tones("a", number))
        lines.append(f"{number}.wav,{text * 9}")
    (tmp_path / "said.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"Most of the pairs(.|\n)*needs \d+ steps"):
        cr.sequence_to_text.train(tmp_path / "said.csv", options(), progress=False)


def test_files_that_cannot_be_read_are_named(folder, tmp_path, without_compiler):
    table = (folder / "said.csv").read_text().splitlines()[:25]
    rows = [f"{folder}/{row}" for row in table[1:]]
    (tmp_path / "broken.wav").write_bytes(b"RIFF but no sound")
    (tmp_path / "said.csv").write_text(
        "\n".join(["file,text", *rows, "broken.wav,abc", "nowhere.wav,abc"])
    )
    with pytest.raises(DataError, match=r"2 of 26 sounds cannot be read(.|\n)*skip-bad"):
        cr.sequence_to_text.train(tmp_path / "said.csv", options(), progress=False)
    said = []
    cr.sequence_to_text.train(
        tmp_path / "said.csv", options(epochs=1, skip_bad=True), progress=False, say=said.append
    )
    assert any("broken.wav" in note and "nowhere.wav" in note for note in said)


def test_models_go_with_their_sources(folder):
    pairs = {"a": [f"word {n}" for n in range(30)], "b": [f"mot {n}" for n in range(30)]}
    with pytest.raises(ConfigError, match="what is said in sounds"):
        cr.sequence_to_text.train(
            pairs, SequenceToTextOptions(target="b", model="ctc-lstm"), progress=False
        )
    with pytest.raises(ConfigError, match="transcripts"):
        options(transcripts="sung")
    with pytest.raises(ConfigError, match="beam"):
        options(beam=0)


# ---- folders ---------------------------------------------------------------------------------


def test_texts_beside_sounds_and_in_lists(tmp_path):
    for name in ("hello", "digits/1", "letters/a"):
        write_sound(tmp_path / "en" / f"{name}.wav", tones("a"))
    (tmp_path / "en" / "core.txt").write_text("; prompts\n\nhello: Hello: you.\ndigits/1: one\n")
    found = transcripts_of(str(tmp_path / "en"), files_in(tmp_path / "en"))
    texts = {path[len(str(tmp_path / "en")) + 1 :]: text for path, text in found.texts.items()}
    assert texts == {"hello.wav": "Hello: you.", "digits/1.wav": "one"}
    assert found.found == "in core.txt"
    # as of LibriSpeech, with a list for each chapter, and of LJ Speech
    for name in ("84-1-0", "84-1-1"):
        write_sound(tmp_path / "libri" / "84" / "1" / f"{name}.wav", tones("a"))
    (tmp_path / "libri" / "84" / "1" / "84-1.trans.txt").write_text("84-1-0 GO ON\n84-1-1 SO IT IS")
    found = transcripts_of(str(tmp_path / "libri"), files_in(tmp_path / "libri"))
    assert sorted(found.texts.values()) == ["GO ON", "SO IT IS"]
    write_sound(tmp_path / "lj" / "wavs" / "LJ1.wav", tones("a"))
    (tmp_path / "lj" / "metadata.csv").write_text("LJ1|In 1 of|In one of\n")
    found = transcripts_of(str(tmp_path / "lj"), files_in(tmp_path / "lj"))
    assert [*found.texts.values()] == ["In one of"]
    for folder in ("en", "libri", "lj"):
        assert recognise(tmp_path / folder) == "sequence-to-text"


def test_the_kind_of_folders_and_tables_of_sounds(folder, tmp_path):
    assert recognise(folder / "said.csv", "text") == "sequence-to-text"
    for label in ("yes", "no"):
        for number in range(3):
            write_sound(tmp_path / "classes" / label / f"{number}.wav", tones("a"))
    (tmp_path / "classes" / "README.txt").write_text("yes and no\n")
    assert recognise(tmp_path / "classes") == "audio"
    (tmp_path / "classes" / "t.csv").write_text("file,word\nyes/0.wav,yes\nno/0.wav,no\n" * 5)
    assert recognise(tmp_path / "classes" / "t.csv", "word") == "audio"


def test_a_folder_is_trained_on(folder, tmp_path, without_compiler):
    for number, text in enumerate(texts(24)):
        write_sound(tmp_path / f"{number}.wav", tones(text, number))
        (tmp_path / f"{number}.txt").write_text(text)
    said = []
    result = cr.sequence_to_text.train(
        tmp_path, options(target=None, epochs=1), progress=False, say=said.append
    )
    assert "the texts of the sounds are a text file beside each" in said
    assert result.report["target"] == "transcript"


# ---- parts -----------------------------------------------------------------------------------


def test_what_is_heard_of_a_text():
    assert spoken("Waldo's “best” — e-mail!") == "waldo's best e mail"
    assert spoken("[beep]") == spoken("...") == ""
    assert spoken("Ça, c'est 2 £") == "ça c'est 2"
    assert steps_needed(np.array([], np.int64)) == 0


def test_silence_noise_and_speech(tmp_path):
    rng = np.random.default_rng(0)
    sounds = {"silence": np.zeros(RATE), "noise": 0.1 * rng.normal(size=RATE),
              "said": tones("abc")}  # fmt: skip
    source = SoundSource(rate=RATE)
    for name, samples in sounds.items():
        path = write_sound(tmp_path / f"{name}.wav", samples)
        silent = is_silent(source.features(source.given(str(path))))
        assert silent == (name != "said"), name


def test_random_changes_leave_room_and_are_the_same_again(folder):
    source = SoundSource(rate=RATE)
    items = [source.given(str(folder / "sounds" / f"{n}.wav")) for n in range(4)]
    batch = source.batch(items, 260)
    changed = [source.changed(batch, np.arange(4), epoch) for epoch in (1, 1, 2)]
    np.testing.assert_array_equal(changed[0]["source"], changed[1]["source"])
    assert (changed[0]["source"] != changed[2]["source"]).any()
    assert (changed[0]["lengths"] <= 260).all()
    for row, length in zip(changed[0]["source"], changed[0]["lengths"], strict=True):
        assert not row[length:].any()
        assert row[:length].any()


# ---- the command line ------------------------------------------------------------------------


@pytest.fixture
def transcribe(trained, tmp_path):
    """Runs the command in a folder with two sounds and silence."""
    trained[0].save(tmp_path / "model.safetensors")
    write_sound(tmp_path / "new" / "a.wav", tones("dad cab", 700))
    write_sound(tmp_path / "new" / "b.wav", tones("b add", 701))

    def run(*arguments, said=None):
        from typer.testing import CliRunner

        from chainrule.cli.app import app

        words = ["transcribe", str(tmp_path / "model.safetensors"), *map(str, arguments)]
        return CliRunner().invoke(app, words, input=said)

    return run, tmp_path / "new"


def test_transcribe_writes_a_line_for_each_sound(transcribe):
    run, folder = transcribe
    first, second = folder / "a.wav", folder / "b.wav"
    assert run(first).stdout == "dad cab\n"
    both = f"{first}\tdad cab\n{second}\tb add\n"
    assert run(first, second).stdout == both
    assert run(folder).stdout == both
    assert run(said=f"{first}\n\n{second}\n").stdout == both
    several = run(first, "--n-best", 2).stdout.splitlines()
    assert len(several) == 2
    assert several[0].split("\t")[1] == "dad cab"


def test_transcribe_tells_silence_and_what_cannot_be_read(transcribe):
    run, folder = transcribe
    write_sound(folder / "silent.wav", np.zeros(RATE))
    (folder / "broken.wav").write_bytes(b"RIFF")
    found = run(folder / "silent.wav")
    assert found.stdout == "\n"
    assert "no words are heard in" in found.stderr
    found = run(folder / "a.wav", folder / "broken.wav", folder / "nowhere.wav")
    assert found.exit_code == 1
    assert found.stdout.splitlines()[0].endswith("dad cab")
    assert len(found.stdout.splitlines()) == 3
    assert "broken.wav: A sound cannot be read." in found.stderr
    assert "nowhere.wav: A sound cannot be read. No such file" in found.stderr
    found = run(folder / "a.wav", "--beam", 0)
    assert found.exit_code == 2
    assert "a beam" in found.stderr


def test_silence_is_nothing_and_a_cut_off_sound_is_told(transcribe):
    run, folder = transcribe
    first, second = folder / "a.wav", folder / "b.wav"
    write_sound(folder / "hum.wav", 0.5 * np.sin(np.arange(2 * RATE)))  # a network hears letters
    second.write_bytes(second.read_bytes()[:-900])
    done = run("-", said=f"{first}\n{folder / 'hum.wav'}\n{second}\n")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == [str(first), str(folder / "hum.wav"), str(second)]
    assert [line[1] for line in lines[:2]] == ["dad cab", ""]
    told = "".join(done.stderr.split())  # lines break where they are full, in paths, too
    assert f"nowordsareheardin{folder / 'hum.wav'}" in told
    assert f"1soundendsbeforethelengththatitpromises:{second}" in told


def test_sounds_that_cannot_be_read_leave_the_others_their_predictions(model, transcribe):
    _, folder = transcribe
    (folder / "broken.wav").write_bytes(b"RIFF")
    (folder / "none.wav").write_bytes((folder / "a.wav").read_bytes()[:44])
    said = []
    found = model.predict(folder, say=said.append)
    assert found["prediction"].to_list() == ["dad cab", "b add", "", ""]
    assert any("2 of 4 sounds cannot be read" in s and "broken.wav" in s for s in said)
    for name in ("a.wav", "b.wav"):
        (folder / name).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        model.predict(folder)


def test_transcribe_with_sentences_and_without_words(transcribe, tmp_path):
    run, folder = transcribe
    (tmp_path / "sentences.txt").write_text("Dad, cab!\nB add.\n")
    assert run(folder / "a.wav", "--language-model", tmp_path / "sentences.txt").stdout == (
        "dad cab\n"
    )
    assert run(folder / "a.wav", "--language-model", "none").stdout == "dad cab\n"
    assert run(folder / "a.wav", "--language-model", "sung").exit_code == 2
    empty = tmp_path / "empty.txt"
    empty.write_text("...\n")
    assert "no words" in run(folder / "a.wav", "--language-model", empty).stderr


def test_a_language_model_reads_along(model, folder, tmp_path, without_compiler):
    """A model of the same letters has seen only one sentence: with much weight it decides."""
    (tmp_path / "one.txt").write_text("cab dad\n" * 60)
    options = cr.text.TextOptions(hidden=(16,), model="lstm", epochs=12, context=16, lr=1e-2)
    cr.text.train(tmp_path / "one.txt", options, progress=False).save(tmp_path / "lm.safetensors")
    known = cr.text.load(tmp_path / "lm.safetensors")
    labels = cr.sequence_to_text.LanguageModelOfLabels(known, pieces_of(model.schema.tokenizer))
    state = labels.start()
    tokens = model.schema.tokenizer.encode("ca")
    likely, after = labels.read(state, int(tokens[0]))
    assert likely > labels.read(state, int(tokens[1]))[0]
    assert labels.read(state, int(tokens[0]))[0] == likely  # the state did not change
    assert labels.read(after, int(tokens[1]))[0] > -1.0
    path = str(folder / "sounds" / "0.wav")
    [found] = model.write([path], Decoding(beam=4, language=labels, language_weight=0.01))
    assert found[0].text == texts(80)[0]
