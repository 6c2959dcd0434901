"""How far people and judges agree, on recorded verdicts."""
