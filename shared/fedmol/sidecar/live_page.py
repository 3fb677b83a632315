"""The page that a coordinator keeps open. It is made here, whole, each time something has changed; its script only
fetches it again and swaps what differs, so it reads the same without a script."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fedmol import formats
from fedmol.report.svg_charts import Series, lines
from fedmol.sidecar import views
from fedmol.sidecar.log_watch import Watch
from fedmol.sidecar.molecules import picture
from fedmol.sidecar.timeline import timeline
from fedmol.telemetry.events import KINDS
from fedmol.telemetry.state import Round, Run

_POINTS = 100  # of a curve at most
_CURVES = 6  # sites that get a curve of their own; of more of them only the band is drawn

_MANY = 12  # sites: more of them are shown smaller
_TROUBLE = (("lost", "refused", "failed", "hung"), ("late", "stopped", "unknown"))  # the worst first
_RUN_STATES = {
    "waiting-for-log": "Waiting for the log",
    "gathering": "Gathering",
    "running": "Running",
    "silent": "Silent",
    "finished": "Finished",
    "stopped": "Stopped",
}


class Page:
    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        environment = Environment(
            loader=PackageLoader("fedmol.sidecar"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        named = ("fixed", "count", "percent", "size", "duration", "clock")
        environment.filters |= {name: getattr(formats, name) for name in named} | {"day": day}
        self._template = environment.get_template("page.html.j2")
        own, report = files("fedmol.sidecar") / "templates", files("fedmol.report") / "templates"
        self.style = (report / "style.css").read_text() + (own / "page.css").read_text()
        self.script = (own / "page.js").read_text()
        self._made: int | None = None  # in which second
        self._html = ""
        self._curves: tuple[tuple[int, int, float | None], list[Markup]] | None = None

    def html(self) -> str:
        """The page as it is now; made at most once a second."""
        now = self.watch.clock()
        if self._made != int(now):
            self._made, self._html = int(now), self._render(now)
        return self._html

    def _render(self, now: float) -> str:
        watch = self.watch
        run, moment = watch.run, watch.moment
        about = views.sites_view(run, moment)
        status = views.status_view(run, watch.log_view(), watch.certificates(), moment)
        return self._template.render(
            status=status,
            state=_RUN_STATES[status.state],
            about=about,
            sites=worst_first(about.sites),
            timeline=timeline(run, moment),
            curves=self._drawn(run),
            molecules=watch.molecules,
            report=watch.has_report,
            picture=picture,
            reasons=watch.reasons,
            many=_MANY,
            kinds=tuple(KINDS),
            now=now,
            log=watch.reader.path,
            members=sum(site.state != "removed" for site in about.sites),
        )

    def _drawn(self, run: Run) -> list[Markup]:
        """Curves change only when a round ends, or a site's own log tells of another step."""
        finished = run.finished_rounds
        key = (self.watch.reader.generation, len(finished), finished[-1].ended if finished else None)
        if self._curves is None or self._curves[0] != key:
            self._curves = (key, curves(run, finished))
        return self._curves[1]


def worst_first(sites: list[views.SiteView]) -> list[views.SiteView]:
    """Of many sites those that need someone come first; a few stay where they are looked for."""
    return sorted(sites, key=_trouble) if len(sites) > _MANY else sites


def _trouble(site: views.SiteView) -> int:
    return next((rank for rank, states in enumerate(_TROUBLE) if site.state in states), len(_TROUBLE))


def curves(run: Run, finished: list[Round]) -> list[Markup]:
    """Loss and NLL over the rounds, of all together and of each site or, of many, the best and the worst."""
    shown = thinned(settled([round for round in finished if round.loss is not None]))
    numbers = [round.number for round in shown]
    if run.role == "site":
        return [
            lines("Training loss, mean of the steps that were logged", numbers, [_all(shown, "loss")], "round", "loss")
        ]
    nll = [*_of_sites(run, shown, "site_nll"), _all(shown, "nll")]
    loss = [*_of_sites(run, shown, "site_loss"), _all(shown, "loss")]
    return [
        lines("Training loss, mean over the round", numbers, loss, "round", "loss"),
        lines("Validation NLL of the model that enters the round", numbers, nll, "round", "nats per molecule"),
    ]


def settled(rounds: list[Round]) -> list[Round]:
    """Without the first tenth, once there are ten: next to the fall at the beginning nothing else could be seen."""
    return rounds[len(rounds) // 10 :]


def thinned(rounds: list[Round]) -> list[Round]:
    """Evenly spread ones if there are too many, always with the newest."""
    every = -(-len(rounds) // _POINTS) or 1
    return rounds[(len(rounds) - 1) % every :: every] if rounds else []


def _all(rounds: list[Round], name: str) -> Series:
    return Series("all, weighted", [getattr(round, name) for round in rounds], 0, emphasis=True)


def _of_sites(run: Run, rounds: list[Round], name: str) -> list[Series]:
    figures: list[dict[str, float]] = [getattr(round, name) for round in rounds]
    sites = sorted(run.sites)
    if len(sites) <= _CURVES:
        return [Series(site, [figure.get(site) for figure in figures], 1 + k) for k, site in enumerate(sites)]
    return [
        Series("highest site", [max(figure.values(), default=None) for figure in figures], 7, dashed=True),
        Series("lowest site", [min(figure.values(), default=None) for figure in figures], 7),
    ]


def day(time: float | None) -> str:
    return formats.date(None if time is None else datetime.fromtimestamp(time, UTC))
