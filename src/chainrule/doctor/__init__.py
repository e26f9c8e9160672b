"""What is wrong with a training, why, and the fix.

`doctor` gathers `Evidence` beside a training; rules draw `Finding`s from it, which are ranked by
cause.
"""

from .diagnosis import FINDINGS, Diagnosis
from .doctor import doctor
from .evidence import Evidence
from .examine import examine
from .finding import Finding, Fix
from .labels import Suspects, suspects
from .loop import Loop
from .monitor import Doctor
from .policies import PolicyEvidence, examine_policy

__all__ = [
    "FINDINGS",
    "Diagnosis",
    "Doctor",
    "Evidence",
    "Finding",
    "Fix",
    "Loop",
    "PolicyEvidence",
    "Suspects",
    "doctor",
    "examine",
    "examine_policy",
    "suspects",
]
