from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedmol.fl.identity import peer_name, stream_seed

# Words that OpenFL gives a meaning in tensor tags; it also sorts tags, and breaks on names after "trained".
OPENFL_WORDS = ("model", "trained", "metric", "delta", "aggregated", "aggregator", "compressed", "secagg")


@given(st.sampled_from([*OPENFL_WORDS, "west", "zurich", "aggregator-lab"]) | st.text("abcxyz-", min_size=1))
def test_peer_names_carry_no_meaning_for_openfl(site: str) -> None:
    peer = peer_name(site)
    assert peer < "delta"
    assert not any(word in peer for word in OPENFL_WORDS)
    assert peer == peer_name(site)


def test_random_streams_are_apart_and_repeatable() -> None:
    seeds = {stream_seed(seed, site, round) for seed in (0, 1) for site in ("a", "b") for round in (1, 2, 3)}
    assert len(seeds) == 12
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert stream_seed(0, "a", 1) == stream_seed(0, "a", 1)
