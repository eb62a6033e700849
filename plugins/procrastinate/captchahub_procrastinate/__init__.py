"""Solves of captchahub as jobs of Procrastinate, whose queue is a table of PostgreSQL."""

from __future__ import annotations

from captchahub_procrastinate.outcomes import Answer, SolveFailed
from captchahub_procrastinate.solver import DeferOptions, Solver
from captchahub_procrastinate.solver_jobs import SolverJob
from captchahub_procrastinate.tables import SCHEMA, SchemaMissing

__all__ = ["SCHEMA", "Answer", "DeferOptions", "SchemaMissing", "SolveFailed", "Solver", "SolverJob"]
