"""Settings as YAML and the command line have them.

What YAML 1.1 reads otherwise than people do; what one section takes from another.
"""

import json

import polars as pl
import pytest

from flows.verbs.run import changes_of
from prefopt_core.experiments.sources import load_run
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.settings import problems_of
from prefopt_core.ground.tables import TABLES
from prefopt_core.reports.advice import advise

RUN = """
flow: align
policy: { source: helpdesk }
prompts: { source: helpdesk, params: { count: 40 } }
annotation: { annotator: function, params: { function: helpdesk } }
budget: 16
rounds: [{ prompts: 8, labels: 16 }]
"""


@pytest.fixture
def run(write):
    """The config of a run with these lines besides, and these changes on the command line."""

    def run(lines="", *changes, base=RUN):
        path = str(write("run.yaml", f"{base}{lines}\n"))
        try:
            return load_run(path, changes_of(changes))[1]
        except ValueError as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError("; ".join(problems_of(error))) from error

    return run


@pytest.mark.case(
    "`learning_rate: 1e-5`",
    reports="hiyouga/LlamaFactory#4014",
    before="right, as pydantic reads the text",
    expected="1e-05, a float",
)
def test_scientific_notation(run):
    rate = run("training: { learning_rate: 1e-5 }").training.learning_rate
    return f"{rate}, a {type(rate).__name__}"


@pytest.mark.case(
    "A setting that stands twice",
    reports="snowflakedb/ArcticTraining#85, facebookresearch/fairchem#658",
    before="the first was lost: 200",
    expected="refused: run.yaml is not YAML, line 8: it says 'budget' twice; the first would be l…",
)
def test_a_setting_twice(run):
    return str(run("budget: 200").budget)


@pytest.mark.case(
    "`seed: yes`",
    reports="ansible/ansible#84174",
    before="1",
    expected="refused: seed: Input should be a number; in YAML yes, no, on and off are true and f…",
)
def test_yes_is_no_number(run):
    return str(run("seed: yes").seed)


@pytest.mark.case(
    "`max_new_tokens: on`, a setting of a generator",
    reports="ansible/ansible#84174",
    before="1",
    expected="refused: generation: The generator 'transformers', setting 'max_new_tokens': Input…",
)
def test_on_is_no_number(run):
    return str(run("generation: { params: { max_new_tokens: on } }").generation.params)


@pytest.mark.case(
    "`seed: 012`, which YAML 1.1 reads as octal",
    reports="tried here",
    before="10",
    expected="refused: run.yaml is not YAML, line 8: 012 would be 10. Write the number as it is…",
)
def test_an_octal_number(run):
    return str(run("seed: 012").seed)


@pytest.mark.case(
    "`guidelines: 12:30`, which YAML 1.1 reads in base 60",
    reports="tried here",
    before="refused: guidelines: Input should be a valid string",
    expected="refused: The value of annotation.guidelines, '12:30', is not YAML, line 1: 12:30 wo…",
)
def test_a_number_of_base_60(run):
    return run("", "annotation.guidelines=12:30").annotation.guidelines


@pytest.mark.case(
    "`guidelines: 2024-01-01`, a date in YAML",
    reports="tried here",
    before="refused: guidelines: Input should be a valid string",
    expected="refused: annotation.guidelines: Input should be a valid string. In YAML put a text…",
)
def test_a_date(run):
    return run("", "annotation.guidelines=2024-01-01").annotation.guidelines


@pytest.mark.case(
    "A section written once and named twice (`&judge`, `*judge`); one of them is changed",
    reports="tried here",
    before="both were changed: stories, stories",
    expected="stories, helpdesk",
)
def test_anchors(run):
    base = RUN.replace("params: { function", "params: &judge { function")
    lines = "evaluation: { annotator: function, params: *judge }"
    config = run(lines, "annotation.params.function=stories", base=base)
    sections = (config.annotation, config.evaluation)
    return ", ".join(section.params["function"] for section in sections)


@pytest.mark.case(
    "A change that YAML cannot read: `a=[1]4`",
    reports="tried here",
    before="a ParserError with its traceback",
    expected="refused: The value of a, '[1]4', is not YAML, line 1: expected '&lt;document start>…",
)
def test_a_change_that_is_no_yaml(run):
    try:
        return str(run("", "a=[1]4"))
    except ConfigError as error:
        return f"refused: {error}".replace("<", "&lt;")


@pytest.mark.case(
    "A setting that is changed twice: `seed=1 seed=2`",
    reports="tried here",
    before="2",
    expected="refused: seed is set twice. Leave one of them out.",
)
def test_a_change_twice(run):
    return str(run("", "seed=1", "seed=2").seed)


@pytest.mark.case(
    "A file indented with tabs",
    reports="tried here",
    before="refused: while scanning for the next token found character '\\t' …",
    expected="refused: run.yaml is not YAML, line 9: found character '\\t'…indent with spaces.",
)
def test_tabs(run):
    return str(run("training:\n\tsteps: 3"))


@pytest.mark.case(
    "No `flow:`, and settings of `spa`",
    reports="tried here",
    before="refused: There is no setting 'seed_preferences'. Available: …",
    expected="refused: run.yaml names no flow, and 'seed_preferences' is no setting of `align`. W…",
)
def test_no_flow(run):
    return str(run("seed_preferences: { path: x.jsonl }", base=RUN.replace("flow: align", "")))


@pytest.mark.case(
    "`spin` with `generator: file`",
    reports="tried here",
    before="the file's responses were taken for the policy's own",
    expected="refused: `spin` plays against the policy's own responses; 'file' gives others.…",
)
def test_spin_on_a_file(run):
    base = RUN.replace("align", "spin").replace("rounds", "#")
    return str(run("generation: { generator: file, params: { path: x.csv } }", base=base))


def _answers(config):
    generation = config.evaluation.generation
    told = {name: generation.params[name] for name in ("max_new_tokens", "temperature")}
    return f"{generation.generator}, n {generation.n}, {json.dumps(told)}"


JUDGED = "evaluation: { annotator: function, params: { function: helpdesk }"


@pytest.mark.case(
    "`evaluation` without a section `generation`",
    reports="nishide-dev/unturtle#46",
    before="transformers, n 1, 256 tokens, temperature 1",
    expected='transformers, n 1, {"max_new_tokens": 48, "temperature": 0.7}',
)
def test_evaluation_answers_as_in_training(run):
    sampling = "generation: { n: 4, params: { max_new_tokens: 48, temperature: 0.7 } }"
    return _answers(run(f"{sampling}\n{JUDGED} }}"))


@pytest.mark.case(
    "… and with one that sets some of it",
    reports="tried here",
    before="transformers, n 8, 256 tokens, temperature 0.2",
    expected='vllm, n 1, {"max_new_tokens": 48, "temperature": 0.2}',
)
def test_evaluation_sets_what_differs(run):
    sampling = "generation: { generator: vllm, params: { max_new_tokens: 48, temperature: 0.7 } }"
    return _answers(
        run(f"{sampling}\n{JUDGED}, generation: {{ params: {{ temperature: 0.2 }} }} }}")
    )


@pytest.mark.case(
    "… where a server writes the training's responses, which evaluation cannot take",
    reports="tried here",
    before="transformers, n 1, 256 tokens, temperature 1",
    expected='transformers, n 1, {"max_new_tokens": 48, "temperature": 1.0}',
)
def test_evaluation_beside_a_server(run):
    params = "{ base_url: 'http://x/v1', model_name: m, max_new_tokens: 48 }"
    return _answers(run(f"generation: {{ generator: openai, params: {params} }}\n{JUDGED} }}"))


@pytest.mark.case(
    "All held-out responses are cut off, of 12 prompts",
    reports="nishide-dev/unturtle#46",
    before="no warning below 20 prompts",
    expected="Round 1: 100 % [100, 100] of the responses are cut off. Raise "
    "`generation.params.max_new_tokens`…",
)
def test_everything_is_cut():
    rows = [(1, "unfinished", 1.0, 1.0, 1.0, 12)]
    return " ".join(advise(pl.DataFrame(rows, schema=TABLES["metrics"].columns, orient="row")))
