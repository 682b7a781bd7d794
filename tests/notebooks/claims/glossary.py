from migkit import Prediction

assert {"total_time_s", "downtime_s", "blocktime_s", "natural_downtime_s", "risk"} <= set(
    Prediction.__dataclass_fields__
)
