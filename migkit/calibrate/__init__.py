"""Constants of an installation from its own runs, and how well predictions hold on runs not used."""

from migkit.calibrate.fit import Calibration, fit
from migkit.calibrate.store import load, save
from migkit.calibrate.validate import compare, leave_one_out

__all__ = ["Calibration", "compare", "fit", "leave_one_out", "load", "save"]
