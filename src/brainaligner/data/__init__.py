"""Datasets: words and responses from disk, checked, and read only when asked for."""

from brainaligner.data._atlas import Atlas, read_atlas, read_parcel_coordinates
from brainaligner.data._convert import convert_responses
from brainaligner.data._copies import ConvertedFile
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
    with_anatomy,
)
from brainaligner.data._files import file_digest
from brainaligner.data._fsaverage import (
    fsaverage5_vertices,
    missing_for_fsaverage5,
    write_fsaverage5_vertices,
)
from brainaligner.data._geometry import (
    Anatomy,
    ColumnGrid,
    anatomy_subjects,
    column_voxels,
    nearest_vertices,
    pycortex_files,
    read_anatomy,
)
from brainaligner.data._manifest import ManifestEntry, read_manifest
from brainaligner.data._parcel_copies import convert_to_parcels
from brainaligner.data._parcel_coverage import ParcelCoverage, read_parcel_coverage
from brainaligner.data._parcels import Parcellation, coverage_report, parcellate, route_notes
from brainaligner.data._problem import Problem
from brainaligner.data._readers import READERS, open_dataset
from brainaligner.data._regions import read_column_labels, read_regions
from brainaligner.data._simulate import (
    SimulationSettings,
    says_simulated,
    simulate_tree,
    story_rows,
    story_transcripts,
)
from brainaligner.data._simulate_anatomy import simulate_anatomy
from brainaligner.data._surfaces import Surface, read_surface
from brainaligner.data._textgrid import Interval, Tier, read_textgrid
from brainaligner.data._transcripts import holds_timed_words, read_transcripts
from brainaligner.data._words import MARKERS, clean_word

__all__ = [
    "CONTENTS",
    "MARKERS",
    "PUBLISHED",
    "READERS",
    "Anatomy",
    "Atlas",
    "ColumnGrid",
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
    "ParcelCoverage",
    "Parcellation",
    "Problem",
    "RemoteDataset",
    "SimulationSettings",
    "Surface",
    "Tier",
    "anatomy_subjects",
    "clean_word",
    "column_voxels",
    "convert_responses",
    "convert_to_parcels",
    "coverage_report",
    "fetch_files",
    "file_digest",
    "fsaverage5_vertices",
    "holds_timed_words",
    "missing_for_fsaverage5",
    "nearest_vertices",
    "open_dataset",
    "parcellate",
    "plan_fetch",
    "published_dataset",
    "pycortex_files",
    "read_anatomy",
    "read_atlas",
    "read_column_labels",
    "read_manifest",
    "read_parcel_coordinates",
    "read_parcel_coverage",
    "read_regions",
    "read_surface",
    "read_textgrid",
    "read_transcripts",
    "route_notes",
    "says_simulated",
    "select_files",
    "simulate_anatomy",
    "simulate_tree",
    "smoke_files",
    "story_rows",
    "story_transcripts",
    "url_forms",
    "verify_files",
    "with_anatomy",
    "write_fsaverage5_vertices",
]
