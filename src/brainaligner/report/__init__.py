"""Scores to tables, figures and one page; returned, never saved."""

from brainaligner.report._beside import ceiling_table, region_table, regions_tsv
from brainaligner.report._card import CardScore, ModelCard, render_card, score_tables
from brainaligner.report._cortex import cortex_figure, no_map_reason
from brainaligner.report._curves import curve_figure
from brainaligner.report._diagnostic_rows import DiagnosticRow, diagnostic_rows, verdict_counts
from brainaligner.report._difference_figures import difference_figure, story_figure
from brainaligner.report._figure_inputs import Curve, Difference, Flatmap, Line
from brainaligner.report._figures import arm_figure, r_distribution_figure
from brainaligner.report._flat_pixels import FlatHemisphere, FlatPixels, flat_pixels
from brainaligner.report._inputs import ABOUT_NEEDED, NOT_VALID, Result, RunReport
from brainaligner.report._listeners import listener_table
from brainaligner.report._map_settings import MapLetters, MapSettings
from brainaligner.report._maps import flatmap_image, fsaverage5_image, map_limits
from brainaligner.report._mesh import (
    CortexMesh,
    cortex_mesh,
    fsaverage5_coordinates,
    fsaverage5_sphere,
    on_vertices,
    shown_vertices,
)
from brainaligner.report._page import render_page
from brainaligner.report._published import PublishedLayout, published_numbers, published_table
from brainaligner.report._pycortex import pycortex_pixels, pycortex_version
from brainaligner.report._table import (
    Column,
    Table,
    exact_cells,
    mean_cell,
    results_table,
    table_tsv,
    tsv_text,
)
from brainaligner.report._texts import LANGUAGES, Texts, page_texts
from brainaligner.report._trace import RecipeNote, Traced, recipe_anchor
from brainaligner.report._verdict import Verdict, verdict
from brainaligner.report._words import MISSING, SIMULATED, headline, number, percent, rows_cut, span

__all__ = [
    "ABOUT_NEEDED",
    "LANGUAGES",
    "MISSING",
    "NOT_VALID",
    "SIMULATED",
    "CardScore",
    "Column",
    "CortexMesh",
    "Curve",
    "DiagnosticRow",
    "Difference",
    "FlatHemisphere",
    "FlatPixels",
    "Flatmap",
    "Line",
    "MapLetters",
    "MapSettings",
    "ModelCard",
    "PublishedLayout",
    "RecipeNote",
    "Result",
    "RunReport",
    "Table",
    "Texts",
    "Traced",
    "Verdict",
    "arm_figure",
    "ceiling_table",
    "cortex_figure",
    "cortex_mesh",
    "curve_figure",
    "diagnostic_rows",
    "difference_figure",
    "exact_cells",
    "flat_pixels",
    "flatmap_image",
    "fsaverage5_coordinates",
    "fsaverage5_image",
    "fsaverage5_sphere",
    "headline",
    "listener_table",
    "map_limits",
    "mean_cell",
    "no_map_reason",
    "number",
    "on_vertices",
    "page_texts",
    "percent",
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
    "rows_cut",
    "score_tables",
    "shown_vertices",
    "span",
    "story_figure",
    "table_tsv",
    "tsv_text",
    "verdict",
    "verdict_counts",
]
