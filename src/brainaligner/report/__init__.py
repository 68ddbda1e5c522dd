"""Scores to tables, figures and one page; returned, never saved."""

from brainaligner.report._beside import ceiling_table, region_table, regions_tsv
from brainaligner.report._card import CardScore, ModelCard, render_card, score_tables
from brainaligner.report._cortex import (
    CortexMesh,
    cortex_figure,
    cortex_mesh,
    fsaverage5_coordinates,
    fsaverage5_sphere,
    no_map_reason,
    on_vertices,
)
from brainaligner.report._diagnostic_rows import DiagnosticRow, diagnostic_rows, verdict_counts
from brainaligner.report._figures import arm_figure, r_distribution_figure
from brainaligner.report._flat_pixels import FlatHemisphere, FlatPixels, flat_pixels
from brainaligner.report._inputs import ABOUT_NEEDED, NOT_VALID, Result, RunReport
from brainaligner.report._listeners import listener_table
from brainaligner.report._maps import MapSettings, flatmap_image, fsaverage5_image, map_limits
from brainaligner.report._page import render_page
from brainaligner.report._published import PublishedLayout, published_numbers, published_table
from brainaligner.report._pycortex import pycortex_pixels, pycortex_version
from brainaligner.report._table import (
    Column,
    Table,
    exact_cells,
    results_table,
    table_tsv,
    tsv_text,
)
from brainaligner.report._texts import LANGUAGES, Texts, page_texts
from brainaligner.report._trace import RecipeNote, Traced, recipe_anchor
from brainaligner.report._words import headline, span

__all__ = [
    "ABOUT_NEEDED",
    "LANGUAGES",
    "NOT_VALID",
    "CardScore",
    "Column",
    "CortexMesh",
    "DiagnosticRow",
    "FlatHemisphere",
    "FlatPixels",
    "MapSettings",
    "ModelCard",
    "PublishedLayout",
    "RecipeNote",
    "Result",
    "RunReport",
    "Table",
    "Texts",
    "Traced",
    "arm_figure",
    "ceiling_table",
    "cortex_figure",
    "cortex_mesh",
    "diagnostic_rows",
    "exact_cells",
    "flat_pixels",
    "flatmap_image",
    "fsaverage5_coordinates",
    "fsaverage5_image",
    "fsaverage5_sphere",
    "headline",
    "listener_table",
    "map_limits",
    "no_map_reason",
    "on_vertices",
    "page_texts",
    "published_numbers",
    "published_table",
    "pycortex_pixels",
    "pycortex_version",
    "r_distribution_figure",
    "recipe_anchor",
    "region_table",
    "regions_tsv",
    "render_card",
    "render_page",
    "results_table",
    "score_tables",
    "span",
    "table_tsv",
    "tsv_text",
    "verdict_counts",
]
