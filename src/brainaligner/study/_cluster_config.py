"""What a cluster file says: which queue, how many jobs, and what each is given."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from brainaligner.core import InputError
from brainaligner.study._files import read_text, yaml_mapping
from brainaligner.study._settings import settings_from_mapping

Kind = Literal["local", "pbs", "slurm", "lsf", "sge", "address"]
QUEUES = ("pbs", "slurm", "lsf", "sge")
RETRIES = 10


@dataclass(frozen=True)
class JobConfig:
    """Jobs of one sort; each is one worker that makes one unit at a time.

    Parameters
    ----------
    workers : int
        Jobs, or processes of this machine.
    threads : int
        CPU threads of each.
    memory : str, optional
        Of each, such as ``"16GB"``. A queue wants it; a local worker above it is started anew.
    walltime : str, optional
        With a queue, ``"12:00:00"``: a job that runs out of it is replaced, and the unit goes on
        where it was.
    queue, project : str, optional
        The queue (Slurm: partition) and the account that is charged.
    resources : str, optional
        What a job gets in the words of PBS or SGE (``-l``), in place of threads and memory:
        ``"select=1:ncpus=8:ngpus=1:mem=64gb"``.
    directives : tuple of str
        Further lines of the job script after ``#PBS``, ``#SBATCH`` ...
    prologue : tuple of str
        With a queue: shell lines before the worker starts: modules, the environment.
    device : str, optional
        Torch device; ``"cuda"`` where nothing is said for `gpu`, else ``"cpu"``.
    """

    workers: int = 2
    threads: int = 1
    memory: str | None = None
    walltime: str | None = None
    queue: str | None = None
    project: str | None = None
    resources: str | None = None
    directives: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()
    device: str | None = None

    def __post_init__(self) -> None:
        for name in ("workers", "threads"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"cluster, {name}",
                    got=str(getattr(self, name)),
                    wanted="1 or more",
                    do="Correct it in the cluster file.",
                )


@dataclass(frozen=True)
class ClusterConfig:
    """A cluster as its file describes it.

    Parameters
    ----------
    kind : {"local", "pbs", "slurm", "lsf", "sge", "address"}
        Processes of this machine, jobs of a queue, or a Dask scheduler that runs already.
    address : str, optional
        Of that scheduler, ``"tcp://host:8786"``. Its workers say what they are by the
        resources ``CPU`` or ``GPU``.
    cpu : JobConfig
    gpu : JobConfig, optional
        Where tunings and features go; the CPU's jobs take them otherwise.
    scratch : str, optional
        Not with `address`: folder of a node's own disk, for what workers spill.
    interface : str, optional
        With a queue: network interface by which nodes reach one another: ``"ib0"``.
    dashboard : int, optional
        Port of Dask's dashboard on this machine.
    retries : int
        Not with `address`: how many workers a unit may lose before it is given up.
    """

    kind: Kind = "local"
    address: str | None = None
    cpu: JobConfig = field(default_factory=JobConfig)
    gpu: JobConfig | None = None
    scratch: str | None = None
    interface: str | None = None
    dashboard: int | None = None
    retries: int = RETRIES

    def __post_init__(self) -> None:
        if (self.kind == "address") != (self.address is not None):
            raise InputError(
                "cluster, address",
                got=f"kind {self.kind!r} and address {self.address!r}",
                wanted="an address with kind 'address', and with no other",
                do="Give both or neither.",
            )
        object.__setattr__(self, "cpu", replace(self.cpu, device=self.cpu.device or "cpu"))
        if self.gpu is not None:
            object.__setattr__(self, "gpu", replace(self.gpu, device=self.gpu.device or "cuda"))
        for name, jobs in self.jobs.items():
            self._check_jobs(name, jobs)
        self._check_unread()
        if self.retries < 0:
            raise InputError(
                "cluster, retries", got=str(self.retries), wanted="0 or more", do="Raise it."
            )

    @property
    def jobs(self) -> dict[str, JobConfig]:
        """Each sort of jobs by the resource that its workers offer."""
        return {"CPU": self.cpu} | ({} if self.gpu is None else {"GPU": self.gpu})

    @property
    def tunes_on_cpu(self) -> bool:
        """Whether tunings go to jobs without a GPU, so that this machine can say what these can."""
        return self.jobs.get("GPU", self.cpu).device == "cpu"

    def _check_unread(self) -> None:
        """Refuse what nothing reads, for workers that this process does not start, or no job."""
        default = JobConfig()
        started = {key: getattr(self, key) for key in ("scratch", "interface")}
        started["retries"] = None if self.retries == RETRIES else self.retries
        for name, jobs in self.jobs.items():
            for key in ("workers", "memory"):
                given = getattr(jobs, key)
                started[f"{name.lower()}.{key}"] = None if given == getattr(default, key) else given
        for key, given in started.items():
            if self.kind == "address" and given is not None:
                raise InputError(
                    f"cluster, {key}",
                    got=f"{given} with kind 'address'",
                    wanted="workers that were started with it",
                    do="Leave it out, and give it to 'dask worker' or 'dask scheduler'.",
                )
        if self.kind == "local" and self.interface is not None:
            raise InputError(
                "cluster, interface",
                got=f"{self.interface!r} with kind 'local'",
                wanted="the loopback address, by which processes of one machine meet",
                do="Leave it out.",
            )

    def _check_jobs(self, name: str, jobs: JobConfig) -> None:
        lacking = [key for key in ("memory", "walltime") if getattr(jobs, key) is None]
        if self.kind in QUEUES and lacking:
            raise InputError(
                f"cluster, {name.lower()}",
                got=f"no {' and no '.join(lacking)}",
                wanted="both: a queue asks for them",
                do='Add memory: "16GB" and walltime: "12:00:00".',
            )
        if self.kind not in ("pbs", "sge") and jobs.resources is not None:
            raise InputError(
                f"cluster, {name.lower()}, resources",
                got=f"{jobs.resources!r} with kind {self.kind!r}",
                wanted="kind 'pbs' or 'sge' with it",
                do="Say it in directives.",
            )
        of_queues = ("queue", "project", "directives", "prologue", "walltime")
        given = [key for key in of_queues if getattr(jobs, key)]
        if self.kind not in QUEUES and given:
            raise InputError(
                f"cluster, {name.lower()}",
                got=f"{' and '.join(given)} with kind {self.kind!r}",
                wanted=f"one of the kinds {', '.join(QUEUES)} with them",
                do="Change kind, or leave them out.",
            )


def read_cluster(path: Path) -> ClusterConfig:
    """Read and check a cluster file.

    Raises
    ------
    InputError
        For a missing file, bad YAML, an unknown key or a bad value.
    """
    mapping = yaml_mapping(
        str(path),
        read_text(path),
        wanted="a mapping with kind, cpu ...",
        do="See docs/cluster.md for examples.",
    )
    return settings_from_mapping(ClusterConfig, mapping, where="cluster")
