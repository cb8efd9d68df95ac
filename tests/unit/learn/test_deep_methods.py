"""What the methods compute, held against the formulas written out plainly, autograd, or an exact solver."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("pandas")

import torch
from torch.nn import functional

from keepfit.core.nouns import Learnt, Lesson
from keepfit.learn.deep import MLP, Network, keeping, projection
from keepfit.learn.deep.importance import fisher, sensitivity
from keepfit.learn.deep.study import Batch, Study
from keepfit.learn.deep.study import begun as started
from keepfit.learn.learners.agem import AGEM
from keepfit.learn.learners.der import DER
from keepfit.learn.learners.der_plus_plus import DERPlusPlus
from keepfit.learn.learners.ewc import EWC
from keepfit.learn.learners.fine_tune import FineTune
from keepfit.learn.learners.gem import GEM
from keepfit.learn.learners.icarl import ICaRL
from keepfit.learn.learners.lwf import LwF
from keepfit.learn.learners.mas import MAS
from keepfit.learn.learners.online_ewc import OnlineEWC
from keepfit.learn.learners.replay import Keep, Replay
from keepfit.learn.learners.si import SI

CLASSES = (0, 1, 2, 3)


def small(**changed: Any) -> Network:
    settings = {"module": MLP((5,)), "optimiser": "sgd", "lr": 0.05, "epochs": 2, "batch": 8, "standardise": False}
    return Network(**{**settings, **changed})


def lesson(seed: int, *, classes: tuple[int, ...] = CLASSES, count: int = 24, **more: Any) -> Lesson:
    random = np.random.default_rng(seed)
    y = random.choice(classes, count)
    X = (random.normal(size=(count, 3)) + np.eye(4, 3)[y] * 2).astype(np.float32)
    return Lesson(X=X, y=y, classes=CLASSES, seed=seed, ids=tuple(f"{seed}-{n}" for n in range(count)), **more)


def begun(method: FineTune, given: Lesson, **changed: Any) -> Study:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        study = started(method, small(**changed), given)
    method.begin(study)
    return study


def batch(fresh: list[int], drawn: list[int] | None = None) -> Batch:
    every = torch.tensor([*fresh, *(drawn or [])])
    return Batch(every, every[: len(fresh)], every[len(fresh) :])


def numbers(study: Study) -> Any:
    return torch.cat([parameter.reshape(-1) for parameter in study.module.parameters()])


def gradient_of(study: Study, value: Any) -> Any:
    return torch.cat([part.reshape(-1) for part in torch.autograd.grad(value, list(study.module.parameters()))])


def test_the_vector_is_the_module() -> None:
    """A step on the vector is a step on every parameter, and the gradient is autograd's."""
    study = begun(FineTune(), lesson(1))
    loss = study.loss(study.outputs(torch.arange(8)), torch.arange(8))
    wanted = gradient_of(study, loss)
    study.loss(study.outputs(torch.arange(8)), torch.arange(8)).backward()
    torch.testing.assert_close(study.gradient, wanted)
    before = study.vector.detach().clone()
    study.optimiser.step()
    torch.testing.assert_close(numbers(study), before - 0.05 * wanted)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_the_loop_learns_what_a_plain_loop_learns(optimiser: str) -> None:
    """The same rows in the same order by torch's own optimiser, parameter by parameter, give the same numbers."""
    given = lesson(1)
    learnt = FineTune().learn(small(optimiser=optimiser, weight_decay=0.01), given).model
    torch.manual_seed(given.seed)
    module = MLP((5,))((3,), 4)
    made = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimiser]
    steps = made(module.parameters(), lr=0.05, weight_decay=0.01)
    X, y = torch.from_numpy(given.X), torch.from_numpy(given.y)
    for epoch in range(2):
        order = np.random.default_rng([given.seed, 0, epoch]).permutation(24)
        for part in np.split(order, [8, 16]):
            steps.zero_grad()
            functional.cross_entropy(module(X[part]), y[part]).backward()
            steps.step()
    for found, wanted in zip(learnt.module_.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(found.data, wanted.data)


def test_two_lessons_learn_what_one_long_loop_learns() -> None:
    """Adam made once, and a loss among the classes seen by then; without `carries` the second lesson differs."""
    given = lesson(1, classes=(0, 1)), lesson(2, classes=(1, 2))
    settings = {"optimiser": "adam", "grows": True, "carries": True}
    first = FineTune().learn(small(**settings), given[0]).model
    second = replace(given[1], parent=pickle.loads(pickle.dumps(first)))  # noqa: S301  # made in the line before
    learnt = FineTune().learn(small(**settings), second).model
    torch.manual_seed(1)
    module = MLP((5,))((3,), 4)
    steps = torch.optim.Adam(module.parameters(), lr=0.05)
    for one, seen in zip(given, (2, 3), strict=True):
        X, y = torch.from_numpy(one.X), torch.from_numpy(one.y)
        for epoch in range(2):
            order = np.random.default_rng([one.seed, 0, epoch]).permutation(24)
            for part in np.split(order, [8, 16]):
                steps.zero_grad()
                functional.cross_entropy(module(X[part])[:, :seen], y[part]).backward()
                steps.step()
    for found, wanted in zip(learnt.module_.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(found.data, wanted.data)
    anew = FineTune().learn(small(optimiser="adam", grows=True), second).model
    assert not torch.allclose(anew.module_[-1].weight, learnt.module_[-1].weight)


def test_fisher_is_the_mean_of_squared_gradients_of_drawn_labels() -> None:
    """Against autograd, summed over every label as likely as the network says: the expectation itself."""
    study = begun(EWC(), lesson(1, count=6))
    exact = torch.zeros_like(study.gradient)
    for row in range(6):
        for label in CLASSES:
            score = study.outputs(torch.tensor([row])).log_softmax(dim=1)[0, label]
            exact += score.exp().detach() * gradient_of(study, score) ** 2 / 6
    drawn = torch.stack([_fisher_with(study, seed) for seed in range(400)])
    error = drawn.std(dim=0) / 20
    assert ((drawn.mean(dim=0) - exact).abs() <= 5 * error + 1e-7).all()


def _fisher_with(study: Study, seed: int) -> Any:
    study.lesson = replace(study.lesson, seed=seed)
    return fisher(study, 6)


def test_fisher_of_numbers_is_the_squared_slope() -> None:
    """For a normal answer around the output the label drops out."""
    random = np.random.default_rng(0)
    given = Lesson(X=random.normal(size=(5, 3)).astype(np.float32), y=random.normal(size=5))
    study = begun(EWC(), given)
    wanted = sum(gradient_of(study, study.outputs(torch.tensor([row])).sum()) ** 2 for row in range(5)) / 5
    torch.testing.assert_close(fisher(study, 5), wanted)


def test_sensitivity_is_the_slope_of_the_length_of_the_scores() -> None:
    """MAS, eq. 2 and 3, by autograd on every row."""
    study = begun(MAS(), lesson(1, count=5))
    wanted = sum(gradient_of(study, study.outputs(torch.tensor([row])).square().sum()).abs() for row in range(5)) / 5
    torch.testing.assert_close(sensitivity(study, 5), wanted)
    whole = gradient_of(study, study.outputs(torch.arange(5)).square().sum() / 5).abs()
    torch.testing.assert_close(sensitivity(study, 5, batch=5), whole)


def taught(method: FineTune, *seeds: int, **changed: Any) -> list[Learnt]:
    """One lesson after the other, on two classes each, then the other two, in turn."""
    found: list[Learnt] = []
    for place, seed in enumerate(seeds):
        classes = ((0, 1), (2, 3))[place % 2]
        given = lesson(seed, classes=classes)
        if found:
            given = replace(given, parent=found[-1].model, memory=found[-1].memory)
        found.append(method.learn(small(**changed), given))
    return found


def weights(model: Network) -> Any:
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.module_.parameters()])


def test_ewc_adds_the_parabolas_of_all_lessons() -> None:
    """Its one parabola has the gradient of the sum over lessons of λ · F_k (θ - θ*_k), eq. 3."""
    method = EWC(strength=3.0, samples=24)
    first, second = taught(method, 1, 2)
    given = replace(lesson(3), parent=second.model, memory=second.memory)
    study = begun(method, given)
    with torch.no_grad():
        study.vector += torch.linspace(-0.5, 0.5, len(study.vector))
    fishers = []
    for learnt, memory, seed in ((first, None, 1), (second, first.memory, 2)):
        there = begun(FineTune(), replace(lesson(seed, classes=((0, 1), (2, 3))[seed - 1]), parent=learnt.model))
        there.lesson = replace(there.lesson, memory=memory)
        fishers.append(fisher(there, 24))
    here = study.vector.detach()
    wanted = 3.0 * sum(F * (here - weights(one.model)) for F, one in zip(fishers, (first, second), strict=True))
    study.gradient.zero_()
    method.correct(study, batch([0]))
    torch.testing.assert_close(study.gradient, wanted, rtol=1e-4, atol=1e-6)


def test_online_ewc_decays_and_moves_its_anchor() -> None:
    """Schwarz et al., eq. 9: F ← γF + F_k, around the parameters where the last lesson ended."""
    first, second = taught(OnlineEWC(decay=0.25, samples=24), 1, 2)
    assert first.memory is not None
    assert second.memory is not None
    there = begun(FineTune(), replace(lesson(2, classes=(2, 3)), parent=second.model))
    there.lesson = replace(there.lesson, memory=first.memory)
    wanted = 0.25 * first.memory.arrays["importance"] + fisher(there, 24).numpy()
    np.testing.assert_allclose(second.memory.arrays["importance"], wanted, rtol=1e-5, atol=1e-9)
    np.testing.assert_array_equal(second.memory.arrays["anchor"], weights(second.model).numpy())


def test_si_sums_what_every_step_did_for_the_loss() -> None:
    """Zenke et al., eq. 3 and 5, in a plain loop beside it; with plain descent Δθ = -η g, so ω = η Σ g²."""
    method = SI(strength=0.0, damping=0.1)
    given = lesson(1)
    learnt = method.learn(small(), given)
    study = begun(FineTune(), given)
    torch.manual_seed(given.seed)
    module = MLP((5,))((3,), 4)
    with torch.no_grad():
        study.vector.copy_(torch.cat([parameter.reshape(-1) for parameter in module.parameters()]))
    began, path = study.vector.detach().clone(), torch.zeros_like(study.gradient)
    for epoch in range(2):
        order = torch.from_numpy(np.random.default_rng([given.seed, 0, epoch]).permutation(24))
        for part in order.split(8):
            slope = gradient_of(study, study.loss(study.outputs(part), part))
            path += 0.05 * slope**2
            with torch.no_grad():
                study.vector -= 0.05 * slope
    wanted = path / ((study.vector.detach() - began) ** 2 + 0.1)
    assert learnt.memory is not None
    np.testing.assert_allclose(learnt.memory.arrays["importance"], wanted.numpy(), rtol=1e-3, atol=1e-6)


def test_mas_and_si_pull_twice_as_hard() -> None:
    """Their penalty has no half: the gradient is 2 · strength · Ω (θ - θ*)."""
    for method in (SI(strength=0.7), MAS(strength=0.7, samples=24)):
        (first,) = taught(method, 1)
        study = begun(method, replace(lesson(2), parent=first.model, memory=first.memory))
        with torch.no_grad():
            study.vector += 0.1
        study.gradient.zero_()
        method.correct(study, batch([0]))
        assert first.memory is not None
        np.testing.assert_allclose(
            study.gradient.numpy(), 1.4 * first.memory.arrays["importance"] * 0.1, rtol=1e-3, atol=1e-6
        )


def test_lwf_distils_the_old_classes_at_its_temperature() -> None:
    """Li and Hoiem, eq. 2 and 3: cross-entropy with the parent's softened answers, less their own entropy, times T²."""
    (first,) = taught(FineTune(), 1)
    method = LwF(strength=0.5, temperature=3.0)
    study = begun(method, replace(lesson(2, classes=(2, 3)), parent=first.model))
    with torch.no_grad():
        study.vector += 0.1
    places = torch.arange(8)
    now, before = study.outputs(places), first.model.module_(study.x[places])
    soft, answer = (before[:, :2] / 3).softmax(dim=1), (now[:, :2] / 3).log_softmax(dim=1)
    distilled = 9 * (soft * (soft.log() - answer)).sum(dim=1).mean()
    wanted = functional.cross_entropy(now, study.y[places]) + 0.5 * distilled
    torch.testing.assert_close(method.loss(study, batch(list(range(8)))), wanted)


def test_lwf_in_a_growing_head_is_a_mixture_among_the_classes_seen() -> None:
    """van de Ven and Tolias: CE / k and (1 - 1/k) · T² · the mean over classes of what the parent says, 0 for new ones.

    Unseen classes take no part in either; the divergence is the cross-entropy less the parent's own entropy.
    """
    (first,) = taught(LwF(grows=True), 1)
    method = LwF(strength=0.5, temperature=3.0, grows=True)
    study = begun(method, replace(lesson(2, classes=(2,)), parent=first.model))
    with torch.no_grad():
        study.vector += 0.1
    places = torch.arange(8)
    now, before = study.outputs(places)[:, :3], first.model.module_(study.x[places])[:, :2]
    soft, answer = (before / 3).softmax(dim=1), (now / 3).log_softmax(dim=1)[:, :2]
    distilled = 9 * (soft * (soft.log() - answer)).sum(dim=1).mean() / 3
    wanted = functional.cross_entropy(now, study.y[places]) / 3 + (1 - 1 / 3) * 0.5 * distilled
    found = method.loss(study, batch(list(range(8))))
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(gradient_of(study, found), gradient_of(study, wanted))


def test_der_holds_remembered_rows_to_remembered_scores() -> None:
    """Buzzega et al., eq. 6 and 7: α · mean squared distance of scores, β · cross-entropy of other rows."""
    for method in (DER(rows=20, alpha=0.3), DERPlusPlus(rows=20, alpha=0.3, beta=0.7)):
        (first,) = taught(method, 1)
        study = begun(method, replace(lesson(2, classes=(2, 3)), parent=first.model, memory=first.memory))
        assert study.old == 20
        fresh, drawn = [20, 21, 22], [0, 5, 7, 9]
        scores = torch.from_numpy(study.column("_logits").copy())
        outputs = study.outputs(torch.tensor([*fresh, *drawn]))
        wanted = functional.cross_entropy(outputs[:3], study.y[fresh])
        if isinstance(method, DERPlusPlus):
            wanted = wanted + 0.3 * ((outputs[3:5] - scores[[0, 5]]) ** 2).mean()
            wanted = wanted + 0.7 * functional.cross_entropy(outputs[5:], study.y[[7, 9]])
        else:
            wanted = wanted + 0.3 * ((outputs[3:] - scores[drawn]) ** 2).mean()
        torch.testing.assert_close(method.loss(study, batch(fresh, drawn)), wanted)


def test_der_remembers_what_was_answered_when_a_lesson_ended() -> None:
    """Of new rows the scores at the end, of remembered ones those they came with, however the network changed."""
    first, second = taught(DER(rows=30), 1, 2)
    said = {}
    for learnt in (first, second):
        assert learnt.memory is not None
        assert learnt.memory.rows is not None
        said |= {row["_id"]: row["_logits"] for row in learnt.memory.rows.to_pylist() if row["_id"] not in said}
    kept = {row["_id"]: row["_logits"] for row in second.memory.rows.to_pylist()}
    assert {one.split("-")[0] for one in kept} == {"1", "2"}
    assert all(said[one] == scores for one, scores in kept.items())
    for learnt, seed, classes in ((first, 1, (0, 1)), (second, 2, (2, 3))):
        given = lesson(seed, classes=classes)
        there = [place for place, one in enumerate(given.ids) if one in kept]
        now = learnt.model.scores(given.X[there]).numpy()
        np.testing.assert_allclose(now, [kept[given.ids[place]] for place in there], rtol=1e-5, atol=1e-6)


def test_icarl_learns_each_class_as_yes_or_no() -> None:
    """Algorithm 3: old classes as likely as the parent said, new ones by the label."""
    (first,) = taught(ICaRL(rows=8), 1)
    method = ICaRL(rows=8)
    study = begun(method, replace(lesson(2, classes=(2, 3)), parent=first.model, memory=first.memory))
    places = torch.tensor([0, 9, 12])
    outputs = study.outputs(places)
    targets = functional.one_hot(study.y[places], 4).float()
    targets[:, :2] = first.model.module_(study.x[places]).sigmoid()[:, :2].detach()
    plain = -(targets * functional.logsigmoid(outputs) + (1 - targets) * functional.logsigmoid(-outputs))
    torch.testing.assert_close(method.loss(study, batch([0, 9, 12])), plain.sum(dim=1).mean())


def test_icarl_believes_the_labels_of_a_class_that_comes_again() -> None:
    """What the parent said stands only for classes that the Lesson has no rows of."""
    (first,) = taught(ICaRL(rows=8), 1)
    study = begun(ICaRL(rows=8), replace(lesson(2, classes=(1, 2)), parent=first.model, memory=first.memory))
    labels = functional.one_hot(study.y, 4).float()
    torch.testing.assert_close(study.kept["targets"][:, 1:], labels[:, 1:])
    torch.testing.assert_close(study.kept["targets"][:, 0], first.model.module_(study.x).sigmoid()[:, 0].detach())


def test_icarl_answers_by_the_nearest_mean_of_exemplars() -> None:
    """Algorithm 1, written out over the rows in its memory."""
    _, second = taught(ICaRL(rows=8), 1, 2)
    assert second.memory is not None
    assert second.memory.rows is not None
    module = second.model.module_

    def phi(rows: Any) -> Any:
        inner = module[1](module[0](torch.as_tensor(np.array(rows), dtype=torch.float32)))
        return inner / inner.norm(dim=1, keepdim=True)

    remembered = phi(second.memory.rows["x"].to_pylist())
    labels = np.array(second.memory.rows["_label"].to_pylist())
    assert np.bincount(labels).tolist() == [2, 2, 2, 2]
    means = [functional.normalize(remembered[torch.from_numpy(labels == c)].mean(dim=0), dim=0) for c in range(4)]
    held = lesson(9).X
    distances = torch.cdist(phi(held), torch.stack(means))
    np.testing.assert_array_equal(second.model.predict(held), distances.argmin(dim=1).numpy())


def test_herding_takes_what_a_plain_search_takes() -> None:
    """Algorithm 4, every candidate mean computed as it is written."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(40, 6)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    taken: list[int] = []
    for k in range(1, 11):
        gaps = [
            np.inf if n in taken else np.linalg.norm(rows.mean(axis=0) - (rows[n] + rows[taken].sum(axis=0)) / k)
            for n in range(40)
        ]
        taken.append(int(np.argmin(gaps)))
    assert keeping.herded(rows, 10).tolist() == taken
    assert sorted(keeping.herded(rows, 99).tolist()) == list(range(40))


def test_gem_projects_as_an_exact_solver_does() -> None:
    """The dual by scipy, over random gradients, also more of them than dimensions; nothing where all agree."""
    optimize = pytest.importorskip("scipy.optimize")
    random = np.random.default_rng(0)
    for k, width, margin in ((1, 5, 0.0), (3, 20, 0.0), (4, 20, 0.5), (6, 4, 0.0), (19, 50, 0.5)):
        G, g = random.normal(size=(k, width)), random.normal(size=width)
        if (G @ g >= 0).all():
            g = -g
        exact = optimize.lsq_linear(G.T, -g, bounds=(margin, np.inf), tol=1e-14)
        found = projection.nearest(torch.from_numpy(g), torch.from_numpy(G), margin).numpy()
        np.testing.assert_allclose(found, G.T @ exact.x + g, atol=1e-5)
        assert (G @ found >= -1e-6).all()
    agreed = torch.ones(3)
    assert projection.nearest(agreed, torch.eye(3), 0.5) is agreed


def test_gem_steps_raise_no_earlier_loss() -> None:
    """After `correct` the gradient has no negative product with that of any lesson before."""
    method = GEM(rows=40, margin=0.0)
    first, second = taught(method, 1, 2)
    study = begun(method, replace(lesson(3), parent=second.model, memory=second.memory))
    assert sorted(name for name in study.kept if name.startswith("lesson")) == ["lesson 0", "lesson 1"]
    earlier = []
    for number in (0, 1):
        places = study.kept[f"lesson {number}"]
        earlier.append(gradient_of(study, study.loss(study.outputs(places), places)))
    own = -earlier[0] - earlier[1]
    study.gradient.copy_(own)
    method.correct(study, batch([40]))
    for other in earlier:
        assert float(torch.dot(other, study.gradient)) >= -1e-4 * float(other.norm() * own.norm())
    assert first.memory is not None


def test_gem_rehearses_as_many_remembered_rows_as_new_ones() -> None:
    """Remembered rows are passed over so often that they are about as many as the lesson's own."""
    method = GEM(rows=10, rehearses=True)
    (first,) = taught(method, 1)
    study = begun(method, replace(lesson(2), parent=first.model, memory=first.memory))
    assert np.bincount(method.passed(study)).tolist() == [2] * 10 + [1] * 24
    assert method.passed(begun(method, lesson(1))).tolist() == list(range(24))
    assert GEM(rows=10).passed(study).tolist() == list(range(10, 34))


def test_agem_takes_away_what_goes_against_the_memory() -> None:
    """Eq. 11 written out; a gradient that agrees stays."""
    own, reference = torch.tensor([1.0, -2.0, 0.0]), torch.tensor([0.0, 1.0, 1.0])
    torch.testing.assert_close(projection.agreeing(own, reference), torch.tensor([1.0, -1.0, 1.0]))
    assert projection.agreeing(own, -reference) is own
    method = AGEM(rows=20)
    (first,) = taught(method, 1)
    study = begun(method, replace(lesson(2), parent=first.model, memory=first.memory))
    places = torch.arange(6)
    reference = gradient_of(study, study.loss(study.outputs(places), places))
    study.gradient.copy_(-reference)
    method.correct(study, batch([20, 21], [0, 1, 2, 3, 4, 5]))
    assert float(study.gradient.abs().max()) < 1e-6


def test_the_reservoir_is_a_uniform_sample_of_the_whole_stream() -> None:
    """Over many seeds rows of every lesson are kept equally often (chi-square at 1e-4)."""
    stats = pytest.importorskip("scipy.stats")
    counts = np.zeros(60)
    for seed in range(400):
        keys = np.random.default_rng(seed).random(20)
        kept = np.arange(20)
        for lesson_number in (1, 2):
            new = np.arange(20 * lesson_number, 20 * (lesson_number + 1))
            keys = np.concatenate([keys, np.random.default_rng([seed, lesson_number]).random(20)])
            kept = np.concatenate([kept, new])
            places = keeping.smallest(keys, 10)
            keys, kept = keys[places], kept[places]
        counts[kept] += 1
    assert counts.sum() == 4000
    assert stats.chisquare(counts).pvalue > 1e-4


def test_quotas_fill_the_room_evenly() -> None:
    """As many as fit, no class more than it has, and none more than one above another that could have more."""
    random = np.random.default_rng(0)
    for _ in range(300):
        counts, capacity = random.integers(0, 30, random.integers(1, 9)), int(random.integers(0, 120))
        found = keeping.quotas(counts, capacity)
        assert found.sum() == min(capacity, counts.sum())
        assert (found <= counts).all()
        hungry = found < counts
        assert not hungry.any() or found.max() <= found[hungry].min() + 1


def test_greedy_balances_as_rows_come() -> None:
    """Algorithm 1 in plain words beside it: no class above its share when the memory is full, and never too many."""
    random = np.random.default_rng(0)
    codes = np.concatenate([random.choice([0, 1], 100), random.choice([2, 3, 4], 100)])
    kept = keeping.greedy(codes, 0, 20, np.random.default_rng(1))
    assert np.bincount(codes[kept]).tolist() == [4, 4, 4, 4, 4]
    first = keeping.greedy(codes[:100], 0, 20, np.random.default_rng(1))
    assert np.bincount(codes[first]).tolist() == [10, 10]


def test_rows_are_kept_as_asked() -> None:
    """Balanced and herded memories have as many of each class as can be, by the enum's name or its word."""
    for keep in (Keep.BALANCED, "balanced", Keep.HERDING, "herding"):
        _, second = taught(Replay(rows=12, keep=keep), 1, 2)  # type: ignore[arg-type]  # a word on a command line
        assert second.memory is not None
        assert second.memory.rows is not None
        assert np.bincount(second.memory.rows["_label"].to_pylist()).tolist() == [3, 3, 3, 3]
