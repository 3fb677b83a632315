"""What the aggregator answers, and what the way there and back costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from statistics import median

from fedmol.chem.standardise import coding_digest, same_coding
from fedmol.doctor.checks import Finding, failed, ok, warning
from fedmol.errors import Exit, FedmolError
from fedmol.fl.federation import Settings
from fedmol.fl.identity import coding_differences, settings_differences, shared_settings
from fedmol.fl.messages import LARGEST_ECHO, Standing
from fedmol.fl.versions import SEMANTICS, check_semantics
from fedmol.pki.certificates import CertificateFiles
from fedmol.settings import NetworkSettings, TrainingSettings
from fedmol.telemetry.events.site_events import MessageSent
from fedmol.training.assembly import denoiser_of, vocabulary_of
from fedmol.training.parameter_vector import manifest
from fedmol_collaborator.doctor.probe_calls import Sounding, Trial
from fedmol_collaborator.outbound_log import OutboundLog
from fedmol_collaborator.tls_probe import try_handshake

_PROBES = 7
_SKEW, _LARGEST_SKEW = 30.0, 300.0  # seconds; a new certificate is valid from five minutes before it is signed
_LONG = 1.0  # seconds of a round trip
_FIRST_ECHO, _LONG_ENOUGH = 64 * 2**10, 0.5  # bytes; seconds of an echo that is worth measuring


def admission(network: NetworkSettings, files: CertificateFiles, site: str, outbound_log: OutboundLog) -> Finding:
    """Whether the aggregator takes this site's certificate; the value is a list of soundings."""
    if not try_handshake(network.address, network.port, files, site):
        raise FedmolError(
            Exit.AGGREGATOR_UNREACHABLE,
            "the aggregator closed the connection after the handshake",
            "ask the coordinator for the aggregator's log of this minute",
        )
    with Trial(network, files, outbound_log) as line:
        line.probe(site)  # opens the channel
        soundings = [line.probe(site) for _ in range(_PROBES)]
    return ok(f"the aggregator knows this site, and serves run {soundings[0].standing.run}", soundings)


def clock(soundings: list[Sounding]) -> Finding:
    """This machine's clock against the aggregator's, as precisely as half a round trip allows."""
    best = min(soundings, key=lambda sounding: sounding.seconds)
    skew = best.sent + best.seconds / 2 - best.standing.time
    known = max(best.seconds / 2, 0.0005)
    figures = {"clock_skew_seconds": skew, "clock_skew_known_to_seconds": known}
    side = "ahead of" if skew > 0 else "behind"
    found = f"{abs(skew):.3f} s {side} the aggregator's, give or take {known:.3f} s"
    cure = "set this machine's clock by NTP (chronyc tracking, timedatectl), or tell the coordinator to set theirs"
    if abs(skew) - known > _LARGEST_SKEW:
        return failed(found, cure, **figures)
    return warning(found, cure, **figures) if abs(skew) - known > _SKEW else ok(found, **figures)


def round_trip(soundings: list[Sounding]) -> Finding:
    seconds = median(sounding.seconds for sounding in soundings)
    found = f"{seconds * 1000:.1f} ms, median of {len(soundings)} calls"
    if seconds > _LONG:
        cure = "look for what delays calls: a VPN, a proxy, a line in use; every round takes several calls"
        return warning(found, cure, round_trip_seconds=seconds)
    return ok(found, round_trip_seconds=seconds)


def throughput(network: NetworkSettings, files: CertificateFiles, outbound_log: OutboundLog) -> Finding:
    """By echoes that grow until one takes long enough; the value is seconds per byte, there and back."""
    size = _FIRST_ECHO
    with Trial(network, files, outbound_log) as line:
        line.echo(0)  # opens the channel
        while (seconds := line.echo(size)) < _LONG_ENOUGH and size < LARGEST_ECHO:
            size *= 4
    rate = 2 * size / seconds
    found = f"{_megabytes(rate)}/s: {size / 2**20:.3g} MiB there and back in {seconds:.2f} s"
    return ok(found, seconds / size, throughput_bytes_per_second=rate)


def sent(messages: Iterable[MessageSent]) -> Finding:
    """What has left this site for the checks, as it was written down before it left."""
    times, size = Counter[str](), Counter[str]()
    for message in messages:
        times[message.call] += message.times
        size[message.call] += message.bytes
    listed = [f"{times[call]} x {call}, {size[call]:,} bytes" for call in times]
    return ok(f"{'; '.join(listed)}: a hash of the site's name, and random bytes")


def same_run(standing: Standing, run: str) -> Finding:
    if standing.run != run:
        cure = f"take part in run {standing.run} (--run), or ask the coordinator for the run's id"
        return failed(f"the aggregator serves run {standing.run}, not {run}", cure)
    return ok(f"the aggregator serves run {run}")


def same_versions(standing: Standing) -> Finding:
    """Whether both compute the same. That they understand each other, the answer has shown."""
    try:
        check_semantics(standing.semantics, "the aggregator")
    except FedmolError as differs:
        return failed(differs.message, differs.cure)
    return ok(f"semantics {SEMANTICS} on both sides, protocol {standing.protocol} at the aggregator")


def same_model(settings: Settings, standing: Standing) -> Finding:
    """Vocabulary and tensors."""
    vocabulary = vocabulary_of(settings)
    if coding_digest(vocabulary) != standing.vocabulary:
        theirs = standing.settings
        name = theirs.get("model.vocabulary", theirs.get("model.vocabulary.name"))
        cure = same_coding(name, theirs.get("data.standardise", "none"))
        return failed(coding_differences(theirs, shared_settings(settings)), cure)
    layout = manifest(denoiser_of(settings))
    if layout.digest != standing.manifest:
        return failed("the model has other tensors than the aggregator's", "use the coordinator's section model")
    return ok(f"{settings.model.preset} by {vocabulary.name}, {layout.size:,} weights on both sides")


def same_settings(settings: Settings, standing: Standing) -> Finding:
    wrong = settings_differences(standing.settings, shared_settings(settings))
    if wrong:
        return failed("; ".join(wrong), "use the coordinator's federation.yaml")
    return ok("those that all parties share are equal")


def seconds_per_round(settings: Settings, seconds_per_byte: float, seconds_per_step: float) -> Finding:
    """The model there and back, and the local steps in between."""
    transfer = 4 * manifest(denoiser_of(settings)).size * seconds_per_byte
    training, how = _training(settings.training, seconds_per_step)
    total, deadline = transfer + training, settings.rounds.deadline
    found = f"about {total:.1f} s: {training:.1f} s of training ({how}), {transfer:.1f} s for the model there and back"
    figures = {"round_seconds": total, "transfer_seconds": transfer, "training_seconds": training}
    cure = (
        f"rounds close after {deadline:.0f} s (rounds.deadline): train on a GPU, give it more training.threads, or ask "
        "the coordinator for fewer training.local_steps or a later deadline"
    )
    if total > deadline:
        return failed(found, cure, **figures)
    return warning(found, cure, **figures) if 2 * total > deadline else ok(found, **figures)


def _training(training: TrainingSettings, seconds_per_step: float) -> tuple[float, str]:
    if training.budget_minutes is not None:
        return training.budget_minutes * 60 / training.rounds, "as many steps as the slowest site can"
    return training.local_steps * seconds_per_step, f"{training.local_steps} steps"


def _megabytes(count: float) -> str:
    return f"{count / 1e6:.3g} MB"
