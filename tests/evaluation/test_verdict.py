"""The verdict says what its numbers carry, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from clv.evaluation.scores import PREDICTION, Scores, score
from clv.evaluation.verdict import Sentence, verdict

RNG = np.random.default_rng(11)
N = 2_000
RATE = RNG.gamma(0.4, 2.0, N)
ACTUAL = RNG.poisson(RATE).astype(float)
NOISE = RATE * RNG.lognormal(0, 1.0, N)


def scores(prediction: np.ndarray, history: np.ndarray, figure: str = "value") -> Scores:
    return score(
        figure,
        ACTUAL,
        {PREDICTION: prediction, "past": history},
        {PREDICTION: "the model", "past": "past spend"},
        level=0.9,
        top=0.1,
        resamples=100,
        seed=0,
    )


def said(prediction: np.ndarray, history: np.ndarray, pit: float = 0.9) -> list[Sentence]:
    value = scores(prediction, history)
    cells = {"both": 200, "history_only": 100, "model_only": 100, "neither": 2_600}
    return list(
        verdict(
            basis="Of 3,000 customers came",
            purchases=scores(prediction, history, "purchases"),
            value=value,
            totals=[
                {
                    "figure": "value",
                    "prediction": 10.0,
                    "low": 8.0,
                    "high": 12.0,
                    "actual": 13.0,
                    "holds": False,
                }
            ],
            coverage=[
                {
                    "figure": "purchases",
                    "level": 0.9,
                    "pit_coverage": pit,
                    "coverage": 0.95,
                    "width": 2.0,
                },
                {"figure": "value", "level": 0.9, "coverage": pit, "width": 20.0},
            ],
            frequency=[
                {"frequency": "0", "customers": 5, "mean_actual": 0.2, "mean_prediction": 0.1}
            ],
            migration=[
                {
                    "method": "past",
                    "cell": cell,
                    "customers": customers,
                    "value_per_customer": 1.0,
                }
                for cell, customers in cells.items()
            ],
            top=0.1,
        )
    )


def about(sentences: list[Sentence], topic: str) -> list[Sentence]:
    return [sentence for sentence in sentences if sentence.topic == topic]


def test_a_better_model_is_called_better() -> None:
    sentences = said(RATE, NOISE)
    for topic in ("error", "ranking"):
        assert {s.news for s in about(sentences, topic) if "for anybody" not in s.text} == {"good"}
    assert "better than past spend" in about(sentences, "error")[0].text
    assert "the model is ahead" in about(sentences, "ranking")[0].text


def test_a_worse_model_is_called_worse_in_the_same_words() -> None:
    sentences = said(NOISE, RATE)
    for topic in ("error", "ranking"):
        assert {s.news for s in about(sentences, topic) if "for anybody" not in s.text} == {"bad"}
    assert "worse than past spend" in about(sentences, "error")[0].text
    assert "history is ahead" in about(sentences, "ranking")[0].text
    assert "history is ahead" in about(sentences, "best customers")[0].text


def test_what_the_customers_cannot_tell_apart_is_not_told_apart() -> None:
    twin = RATE * RNG.lognormal(0, 0.01, N)
    sentences = said(RATE, twin)
    for sentence in sentences:
        if sentence.topic in ("ranking", "best customers", "error") and sentence.news == "even":
            assert "cannot be told apart" in sentence.text
            assert "ahead" not in sentence.text
            assert "better" not in sentence.text
    assert about(sentences, "best customers")[0].news == "even"


def test_a_level_is_low_high_or_not_known() -> None:
    assert "the model is 50.0% too low" in said(ACTUAL / 2, NOISE)[1].text
    assert "the model is 50.0% too high" in said(ACTUAL * 1.5, NOISE)[1].text
    level = said(RATE * ACTUAL.sum() / RATE.sum(), NOISE)[1]
    assert "cannot be told from 0" in level.text
    assert level.news == "good"


def test_the_forecasts_own_interval_of_the_total_is_judged() -> None:
    total = about(said(RATE, NOISE), "level")[-1]
    assert total.news == "bad"
    assert total.text == (
        "The forecast's own 90% interval of total value, 8 to 12, misses the actual 13."
    )


@pytest.mark.parametrize(
    ("pit", "news", "words"),
    [(0.92, "good", "hold:"), (0.97, "bad", "are too wide:"), (0.7, "bad", "are too narrow:")],
)
def test_intervals_hold_or_not(pit: float, news: str, words: str) -> None:
    counts, value = about(said(RATE, NOISE, pit), "intervals")
    assert counts.news == news
    assert words in counts.text
    assert value.news == ("bad" if pit == 0.7 else "good")
    assert ("miss too many" in value.text) == (pit == 0.7)


def test_every_sentence_carries_its_numbers() -> None:
    for sentence in [*said(RATE, NOISE), *said(NOISE, RATE)]:
        assert sentence.numbers, sentence.text
        assert all(np.isfinite(value) for value in sentence.numbers.values())
        assert "nan" not in sentence.text


def test_forecasting_nothing_is_the_least_to_beat() -> None:
    mean = np.full(N, ACTUAL.mean())
    sentences = [s for s in about(said(mean, NOISE), "error") if "for anybody" in s.text]
    assert sentences
    assert {s.news for s in sentences} == {"bad"}
    assert "is worse than that" in sentences[0].text
    exact = about(said(ACTUAL, NOISE), "error")
    assert not [s for s in exact if "for anybody" in s.text]
