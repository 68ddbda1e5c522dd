"""Datasets: words and responses from disk, checked, and read only when asked for."""

from brainaligner.data._convert import ConvertedFile, convert_responses
from brainaligner.data._dataset import Dataset
from brainaligner.data._fetch import fetch_files, verify_files
from brainaligner.data._fetch_report import FetchPlan, FetchReport, FileOutcome, plan_fetch
from brainaligner.data._fetch_settings import CompactSettings, FetchSettings
from brainaligner.data._fetch_source import (
    CONTENTS,
    PUBLISHED,
    FetchSelection,
    RemoteDataset,
    published_dataset,
    select_files,
    smoke_files,
    url_forms,
)
from brainaligner.data._manifest import ManifestEntry, read_manifest
from brainaligner.data._problem import Problem
from brainaligner.data._readers import READERS, open_dataset
from brainaligner.data._simulate import (
    SimulationSettings,
    simulate_tree,
    story_rows,
    story_transcripts,
)
from brainaligner.data._textgrid import Interval, Tier, read_textgrid
from brainaligner.data._words import MARKERS, clean_word

__all__ = [
    "CONTENTS",
    "MARKERS",
    "PUBLISHED",
    "READERS",
    "CompactSettings",
    "ConvertedFile",
    "Dataset",
    "FetchPlan",
    "FetchReport",
    "FetchSelection",
    "FetchSettings",
    "FileOutcome",
    "Interval",
    "ManifestEntry",
    "Problem",
    "RemoteDataset",
    "SimulationSettings",
    "Tier",
    "clean_word",
    "convert_responses",
    "fetch_files",
    "open_dataset",
    "plan_fetch",
    "published_dataset",
    "read_manifest",
    "read_textgrid",
    "select_files",
    "simulate_tree",
    "smoke_files",
    "story_rows",
    "story_transcripts",
    "url_forms",
    "verify_files",
]
