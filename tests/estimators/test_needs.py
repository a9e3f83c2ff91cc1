"""Needs as named objects: gradest's own, a plug-in's, and slips in naming them."""

import pickle
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Independent, Normal

import estimators
from estimators import BadInput, Function, Need, Traits, offers, unmet
from estimators.needs import Offer
from estimators.pathwise import Reparameterisation
from tests.support.cases import double

F = Function(lambda z: z.square().sum(-1))
BUILT_IN = 33


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    """What a test declares is forgotten after it."""
    monkeypatch.setattr(Need, "_declared", dict(Need._declared))


def normal(kind=Normal):
    return Independent(kind(double(0.3, -0.2), double(0.8, 1.2)), 1)


def path_with(need):
    """A pathwise estimator that needs one thing more."""

    @dataclass(frozen=True)
    class Path(Reparameterisation):
        traits = Traits(unbiased=True, needs=frozenset({Need.REPARAMETERISED, need}), paper="a test's")

    return Path()


def elsewhere(text):
    """Runs it as a module called `elsewhere`."""
    space = {"__name__": "elsewhere", "Need": Need}
    exec(text, space)
    return space


def test_the_built_in_needs_are_named_objects():
    own = [need for need in Need.declared() if need.built_in]
    assert len(own) == len({need.sentence for need in own}) == BUILT_IN
    assert all(getattr(Need, need.name) is need is Need.named(need.name) for need in own)
    assert repr(Need.DENSITY) == "Need.DENSITY" and Need.DENSITY != Need.MEAN


@pytest.mark.parametrize("slip", ["DENSTY", "density"])
def test_a_mistyped_need_is_told_the_nearest_name(slip):
    said = f"there is no need '{slip}'; did you mean 'DENSITY'?"
    with pytest.raises(BadInput) as found:
        getattr(Need, slip)
    with pytest.raises(BadInput) as named:
        Need.named(slip)
    assert str(found.value) == str(named.value) == said
    assert not hasattr(Need, slip)


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ({"densty"}, "contains 'densty', which is not a need such as Need.DENSITY; did you mean 'DENSITY'?"),
        ("DENSITY", "must be a set of needs such as {Need.DENSITY}, found 'DENSITY'"),
        (Need.MEAN, "must be a set of needs such as {Need.DENSITY}, found Need.MEAN"),
    ],
)
def test_traits_take_needs_alone(needs, said):
    @dataclass(frozen=True)
    class Own(Reparameterisation):
        traits = SimpleNamespace(needs=needs)  # as Traits(needs=needs) is where nothing checks types

    with pytest.raises(BadInput) as found:
        unmet(Own(), normal(), F, 1)
    assert str(found.value) == f"traits.needs of Own {said}"


@pytest.mark.parametrize("attribute", ["offers", "offers_not"])
def test_offers_are_needs_alone(attribute):
    q = normal(type("Own", (Normal,), {attribute: {"MEEN"}}))
    with pytest.raises(BadInput, match=f"{attribute} of Own contains 'MEEN', .* did you mean 'MEAN'?"):
        unmet(estimators.get("reinforce"), q, F, 1)


@pytest.mark.parametrize(("name", "sentence"), [("audited", "audited draws"), ("A B", "audited draws"), ("A", "")])
def test_a_need_has_a_name_in_capitals_and_a_sentence(name, sentence):
    with pytest.raises(BadInput, match="a need must have a name in capitals and a sentence"):
        Need(name, sentence)


def test_a_name_belongs_to_one_module():
    first = Need("AUDITED", "audited draws")
    assert Need("AUDITED", "draws that an auditor saw") == first  # declared again where it was, as in a notebook
    with pytest.raises(BadInput) as found:
        elsewhere("Need('AUDITED', 'audited sums')")
    assert str(found.value) == (
        f"need 'AUDITED' is declared twice: by {__name__} (draws that an auditor saw) and by elsewhere (audited sums); "
        "rename one of them"
    )
    elsewhere("Need('AUDITED', 'draws that an auditor saw')")  # one need, declared in two files


def test_a_need_is_offered_by_those_who_say_so():
    audited = Need("AUDITED", "draws that were audited")
    estimator = path_with(audited)
    assert unmet(estimator, normal(), F, 1) == "needs draws that were audited"
    told = Function(lambda z: z.square().sum(-1))
    told.offers = frozenset({audited})
    own = type("Own", (Normal,), {"offers": frozenset({audited})})
    family = type("Family", (), {"offers": frozenset({audited})})()
    never = type("Never", (), {"offers_not": frozenset({audited})})()
    assert unmet(estimator, normal(), told, 1) is None
    assert unmet(estimator, normal(own), F, 1) is None
    assert Offer(normal(), F, family).unmet(estimator, 1) is None
    assert Offer(normal(own), told, never).unmet(estimator, 1) == "needs draws that were audited"


def test_who_offers_a_plugins_need_alone_is_still_looked_up_for_the_others():
    own = type("Own", (Normal,), {"offers": frozenset({Need("AUDITED", "draws that were audited")})})
    assert offers(normal(own), F) == offers(normal(), F) | {Need.named("AUDITED")}


def test_an_objective_offers_and_withholds_built_in_needs():
    jumping = Function(torch.sum, differentiable=False)
    path = estimators.get("reparameterisation")
    assert unmet(path, normal(), jumping, 1) == f"needs {Need.DIFFERENTIABLE.sentence}"
    jumping.offers = frozenset({Need.DIFFERENTIABLE})
    assert unmet(path, normal(), jumping, 1) is None
    jumping.offers_not = frozenset({Need.DIFFERENTIABLE})
    assert unmet(path, normal(), jumping, 1) == f"needs {Need.DIFFERENTIABLE.sentence}"


def test_a_need_may_tell_whether_it_is_met():
    wide = Need("WIDE", "a scale above 0.5", met=lambda offer: bool((offer.q.base_dist.scale > 0.5).all()))
    narrow = Independent(Normal(double(0.3), double(0.1)), 1)
    assert unmet(path_with(wide), normal(), F, 1) is None and wide in offers(normal(), F)
    assert unmet(path_with(wide), narrow, F, 1) == "needs a scale above 0.5"
    withheld = type("Own", (Normal,), {"offers_not": frozenset({wide})})
    assert unmet(path_with(wide), normal(withheld), F, 1) == "needs a scale above 0.5"


def test_a_need_that_cannot_tell_is_named():
    broken = Need("BROKEN", "luck", met=lambda offer: offer.luck)
    with pytest.raises(BadInput, match=f"need 'BROKEN' of {__name__}: its function met raises AttributeError"):
        unmet(path_with(broken), normal(), F, 1)


def test_a_need_is_pickled_by_its_name():
    audited = Need("AUDITED", "draws that were audited", met=lambda offer: True)
    traits = Traits(unbiased=True, needs=frozenset({audited, Need.DENSITY}))
    again = pickle.loads(pickle.dumps(traits))
    assert again == traits and all(need is Need.named(need.name) for need in again.needs)
    text = pickle.dumps(audited)
    del Need._declared["AUDITED"]  # as in a process that has not loaded the plug-in
    with pytest.raises(BadInput, match="there is no need 'AUDITED'"):
        pickle.loads(text)
