"""Promise 16: an option that would have no effect with the others is an error, for every option there is.

Of each option this file says when it would do nothing, and that this is refused; or why it always does
something. An option without an entry fails. What depends on the data, the model or the machine alone is
refused where it becomes known: those places stand in `AT_RUN_TIME`, each with the test that shows it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_recipe_fields import FIELDS

from palate.data import LAYOUTS
from palate.errors import RecipeError
from palate.recipe import (
    LABEL_LAYOUTS,
    OBJECTIVES,
    RANKING_LAYOUTS,
    dump_recipe,
    parse_recipe,
)

TESTS = Path(__file__).parents[1]
HERE = "contract/test_ineffective_combinations.py"

COLUMNS = "data.train={source: a, columns: "

IDLE: dict[str, list[tuple[str, str]]] = {
    "Recipe.reference": [
        (f"objective.type={name} reference.sync_every=2", "compares with none")
        for name in ("sft", "simpo", "cpo", "orpo", "reward")
    ],
    "Recipe.deepspeed": [("deepspeed=ds_config.json", "deepspeed has no effect")],
    "Recipe.compare": [("objective.type=reward compare={num_prompts: 3}", "compare has no effect")],
    "ModelOptions.revision": [("model.revision=main", "revision has no effect")],
    "ModelOptions.quantization": [("model.quantization={} model.adapter=null", "adapter = null")],
    "LoraOptions.layers_to_transform": [
        ("model.adapter.layers_to_transform=[0]", "name the modules in a list"),
        ("model.adapter={target_modules: '.*_proj', layers_to_transform: [0]}", "name the modules in a list"),
        ("model.adapter={target_modules: [q_proj], layers_to_transform: []}", "at least 1 item"),
    ],
    "LoraOptions.rslora": [("model.adapter={rank: 1, rslora: true}", "rslora has no effect")],
    "SourceOptions.split": [
        ("data.train.split=test", "split has no effect"),
        ("data.eval={source: playground, split: test}", "split has no effect"),
    ],
    "SourceOptions.revision": [("data.train.revision=main", "revision has no effect")],
    "SourceOptions.support_ratio": [
        (f"data.train={{source: a, layout: {layout}, support_ratio: 0.5}}", "support_ratio has no effect")
        for layout in sorted(set(LAYOUTS) - {"stance"})
    ] + [(f"{COLUMNS}{{chosen: c, rejected: r}}, support_ratio: 0.5}}", "support_ratio has no effect")],
    "SourceOptions.columns": [
        (
            "data.train={source: a, layout: strings, columns: {prompt: p, chosen: c, rejected: r}}",
            "drop one of the two",
        ),
    ],
    "SourceOptions.pair_rule": [
        *(
            (f"data.train={{source: a, layout: {layout}, pair_rule: neighbours}}", "pair_rule has no effect")
            for layout in ("strings", "helpsteer3", "labels", "kto_tag")
        ),
        *(
            (f"objective.type={name} data.{side}={{source: a, pair_rule: neighbours}}", "from no pairs")
            for name in ("plackett_luce", "kto")
            for side in ("train", "eval")
        ),
    ],
    "SourceOptions.min_gap": [
        (f"data.train={{source: a, layout: {layout}, min_gap: 1}}", "min_gap has no effect")
        for layout in sorted(LABEL_LAYOUTS)
    ],
    "SourceOptions.score_margin": [
        *(
            (f"data.train={{source: a, layout: {layout}, score_margin: true}}", "score_margin has no effect")
            for layout in sorted(LABEL_LAYOUTS)
        ),
        ("data.train={source: a, margin_column: m, score_margin: true}", "both give the margin"),
        *(
            (f"objective.type={name} data.{side}={{source: a, score_margin: true}}", "takes no margins")
            for name, kind in OBJECTIVES.items()
            if name != "mpo" and not kind.takes_margin
            for side in ("train", "eval")
        ),
    ],
    "ColumnOptions.prompt": [(f"{COLUMNS}{{prompt: q}}}}", "columns needs")],
    "ColumnOptions.chosen": [(f"{COLUMNS}{{prompt: q, chosen: c}}}}", "columns lacks rejected")],
    "ColumnOptions.rejected": [(f"{COLUMNS}{{prompt: q, rejected: c}}}}", "columns lacks chosen")],
    "ColumnOptions.completion": [(f"{COLUMNS}{{prompt: q, completion: c}}}}", "columns lacks label")],
    "ColumnOptions.label": [(f"{COLUMNS}{{chosen: c, rejected: r, label: m}}}}", "several records")],
    "ColumnOptions.completions": [(f"{COLUMNS}{{completions: c}}}}", "columns lacks prompt")],
    "ColumnOptions.ranks": [
        (f"{COLUMNS}{{prompt: q, ranks: r}}}}", "columns lacks completions"),
        (f"{COLUMNS}{{prompt: q, completions: c, ranks: r, scores: s}}}}", "drop one"),
    ],
    "ColumnOptions.scores": [(f"{COLUMNS}{{prompt: q, scores: r}}}}", "columns lacks completions")],
    "ColumnOptions.system": [(f"{COLUMNS}{{prompt: q, system: s}}}}", "columns needs")],
    "SourceOptions.margin_column": [
        *(
            (f"data.train={{source: a, layout: {layout}, margin_column: m}}", "only pairs have a margin")
            for layout in sorted(LABEL_LAYOUTS | RANKING_LAYOUTS)
        ),
        *(
            (f"objective.type={name} data.{side}={{source: a.jsonl, margin_column: m}}", "takes no margins")
            for name, kind in OBJECTIVES.items()
            if name != "mpo" and not kind.takes_margin
            for side in ("train", "eval")
        ),
        (
            "objective={type: mpo, terms: [{objective: {type: exo}}, {objective: {type: sft}}]} "
            "data.train={source: a.jsonl, margin_column: m}",
            "takes no margins",
        ),
    ],
    "SourceOptions.weight_column": [
        *(
            (f"objective.type={name} data.train={{source: a.jsonl, weight_column: w}}", "no single example")
            for name in ("aot", "aot_unpaired")
        ),
        (
            "objective={type: mpo, terms: [{objective: {type: aot}}, {objective: {type: sft}}]} "
            "data.eval={source: a.jsonl, weight_column: w}",
            "no single example",
        ),
    ],
    "DataOptions.eval_fraction": [("data={eval: {source: a.jsonl}, eval_fraction: 0.2}", "drop one")],
    "TrainOptions.optimizer": [
        (f"train.optimizer={name} model.device={device}", "needs a cuda device")
        for name in ("paged_adamw", "paged_adamw_8bit")
        for device in ("cpu", "mps")
    ],
    "TrainOptions.evaluate_every": [
        ("data.eval_fraction=0 train.evaluate_every=5", "without held-out pairs"),
    ],
    "TrainOptions.best_metric": [
        ("data.eval_fraction=0 train.epochs=3 train.best_metric=rewards_margin", "without held-out pairs"),
        ("train.best_metric=rewards_margin", "the only evaluation is that of the end"),
        (
            "train.best_metric=rewards_margin train.epochs=9 train.max_steps=20 train.evaluate_every=20",
            "the only evaluation is that of the end",
        ),
    ],
    "TrainOptions.early_stopping": [
        ("data.eval_fraction=0 train.epochs=9 train.early_stopping={}", "without held-out pairs"),
        ("train.epochs=3 train.early_stopping={}", "early_stopping has no effect"),
        (
            "train.max_steps=30 train.evaluate_every=10 train.early_stopping={}",
            "takes 3 evaluations before the end to stop, and there are 2",
        ),
    ],
    "AuditOptions.allow": [
        ("data.audit.allow=[empty_side, empty_side]", "names one twice"),
        *((f"data.audit.allow=[{name}]", "data.audit.allow") for name in ("length_bias", "leak_prompt")),
    ],
    "TrainOptions.trackers": [("train.trackers=[mlflow, mlflow]", "names one twice")],
    "TrainOptions.tracker_project": [
        ("train.tracker_project=mine", "tracker_project has no effect"),
        ("train.trackers=[tensorboard] train.tracker_project=mine", "tracker_project has no effect"),
    ],
    "EarlyStoppingOptions.patience": [
        ("train.epochs=4 train.early_stopping={patience: 4}", "lower its patience"),
    ],
    "ReferenceOptions.model": [("reference={model: a, sync_every: 2}", "drop one")],
    "ReferenceOptions.sync_every": [
        ("reference.sync_every=50 train.max_steps=40", "sync_every = 50 has no effect"),
    ],
    "ReferenceOptions.sync_mixup": [("reference.sync_mixup=0.5", "has no effect without sync_every")],
    "CompareOptions.top_p": [("compare.top_p=0.9", "has no effect with temperature = 0")],
    "CompareOptions.samples_per_prompt": [
        ("compare.samples_per_prompt=4", "has no effect with temperature = 0"),
    ],
    "CompareOptions.judge": [("compare={judge: longer, judge_model: a}", "both judge")],
    "CompareOptions.judge_model": [("compare={judge_model: a, reward_model: b}", "both judge")],
    "CompareOptions.reward_model": [("compare={reward_model: a, logprob_model: b}", "both judge")],
    "CompareOptions.logprob_model": [("compare={logprob_model: a, judges: b.yaml}", "both judge")],
    "CompareOptions.judges": [("compare={judge: longer, judges: b.yaml}", "both judge")],
    "CompareOptions.judge_base_url": [
        ("compare.judge_base_url=http://localhost/v1", "no effect without judge_model"),
    ],
    "CompareOptions.judge_api_key_env": [
        ("compare={judge_model: a, judge_api_key_env: KEY}", "no effect without judge_base_url"),
    ],
    "CompareOptions.rubric": [
        ("compare.rubric=writing", "no effect without judge_model or logprob_model"),
        ("compare={judge: longer, rubric: writing}", "no effect without"),
    ],
    "CompareOptions.neutral_text": [
        ("compare={drift: false, neutral_text: a.txt}", "neutral_text has no effect with drift = false")
    ],
    "CompareOptions.benchmark_tasks": [("compare.benchmark_tasks=tasks", "has no effect without benchmarks")],
    "CompareOptions.benchmark_limit": [("compare.benchmark_limit=5", "has no effect without benchmarks")],
    "CompareOptions.benchmark_chat_template": [
        ("compare.benchmark_chat_template=true", "has no effect without benchmarks")
    ],
    "CompareOptions.within": [("compare.within=0.05", "within has no effect without judge or")],
    "CompareOptions.num_pairs": [("compare.num_pairs=5", "num_pairs has no effect without pairs")],
    "CompareOptions.force": [("compare={judge: longer, force: true}", "force has no effect without")],
    "DPO.smoothing": [("objective.smoothing=robust", "has no effect with label_smoothing = 0")],
    "DPO.divergence": [("objective={logps: mean, divergence: forward_kl}", "does not go with")],
    "DPO.divergence_alpha": [
        (f"objective={{divergence: {name}, divergence_alpha: 0.5}}", "divergence_alpha has no effect")
        for name in ("reverse_kl", "forward_kl", "js_divergence")
    ],
    "DPO.ld_alpha": [("objective={logps: mean, ld_alpha: 0.5}", "choose one")],
    "MPO.terms": [
        ("objective={type: mpo, terms: [{objective: {type: dpo}}]}", "at least 2"),
        ("objective={type: mpo, terms: [{objective: {type: dpo}}, {objective: {type: dpo}}]}", "add up"),
        ("objective={type: mpo, terms: [{objective: {type: sft}}, {objective: {type: mpo}}]}", "mixture"),
    ],
}  # fmt: skip
"""When an option would do nothing: overrides, and what is said."""

AT_RUN_TIME = {
    "Recipe.parallel": ("fsdp2 without other processes", "processes", "fsdp2"),
    "ModelOptions.revision": (
        "of a local folder",
        "contract/test_ineffective_combinations.py",
        "has no effect on a folder",
    ),
    "ModelOptions.quantization": ("on a quantised base", "engine/test_quantization.py", "comes quantised"),
    "LoraOptions.exclude_modules": ("leaves nothing out", "engine/test_lora.py", "exclude_modules"),
    "LoraOptions.layers_to_transform": ("a layer there is not", "engine/test_lora.py", "layer 7"),
    "LoraOptions.modules_to_save": ("no such module", "engine/test_lora.py", "modules_to_save"),
    "LoraOptions.rank_pattern": ("matches nothing", "engine/test_lora.py", "rank_pattern"),
    "LoraOptions.alpha_pattern": ("matches nothing", "engine/test_lora.py", "alpha_pattern"),
    "SourceOptions.split": ("of a file", "data", "has no effect on a file"),
    "SourceOptions.revision": ("of a file", "data", "has no effect on a file"),
    "SourceOptions.support_ratio": ("no stances in the data", "data", "support_ratio"),
    "SourceOptions.margin_column": ("no such column", "data/test_margins.py", "margin_column"),
    "SourceOptions.weight_column": ("no such column", "data/test_margins.py", "weight_column"),
    "SourceOptions.columns": ("no such column", "data/test_columns.py", "no row has this column"),
    "SourceOptions.pair_rule": (
        "no rankings in the data",
        "data/test_scores_to_pairs.py",
        "only rankings become",
    ),
    "SourceOptions.min_gap": (
        "no scores in the data",
        "data/test_scores_to_pairs.py",
        "min_gap = 1 has no effect",
    ),
    "SourceOptions.score_margin": ("no scores", "data/test_scores_to_pairs.py", "score_margin has no effect"),
    "TrainOptions.optimizer": ("paged without cuda", "train/test_optimizer.py", "paged"),
    "TrainOptions.evaluate_every": ("nothing can be held out", HERE, "nothing is held out"),
    "TrainOptions.best_metric": ("nothing can be held out", HERE, "nothing is held out"),
    "TrainOptions.early_stopping": ("nothing can be held out", HERE, "nothing is held out"),
    "ReferenceOptions.sync_every": ("longer than the run", HERE, "the run has"),
    "TrainOptions.trackers": ("not installed", "train/test_trackers.py", "not installed"),
}
"""When only the data, the model or the machine tell: that, and where a test has it refused."""

ALWAYS = {
    "Recipe.output": "every run has a folder",
    "Recipe.seed": "orders the data and begins the adapter in every run",
    "Recipe.model": "a section", "Recipe.data": "a section", "Recipe.train": "a section",
    "Recipe.objective": "a section",
    "ModelOptions.base": "every run has one",
    "ModelOptions.dtype": "what is computed in, under an adapter or without",
    "ModelOptions.device": "every run has one",
    "ModelOptions.attention": "every model has it; a kernel it cannot take is an error when it is loaded",
    "ModelOptions.adapter": "a section",
    "LoraOptions.rank": "of every module without a rank of its own",
    "LoraOptions.alpha": "of every module without an alpha of its own",
    "LoraOptions.dropout": "of every module with an adapter",
    "LoraOptions.target_modules": "peft refuses what names none",
    "ExistingAdapterOptions.path": "it is the adapter",
    "QuantizationOptions.double": "every quantised layer has scales",
    "SourceOptions.source": "every run has one",
    "SourceOptions.layout": "it decides how rows are read",
    "SourceOptions.limit": "an upper bound: a smaller source is read whole",
    "DataOptions.train": "a section",
    "DataOptions.eval": "a section",
    "DataOptions.system": "a default, for the prompts that have none",
    "DataOptions.template": "every prompt is written out by it",
    "DataOptions.max_length": "an upper bound",
    "DataOptions.audit": "a section",
    "AuditOptions.near_duplicates": "where there are more rows than are searched, audit.json says so",
    "DataOptions.too_long": "for what is too long, where there is such",
    "TrainOptions.epochs": "with max_steps the smaller of the two holds",
    "TrainOptions.max_steps": "with epochs the smaller of the two holds",
    "TrainOptions.batch_size": "of every step",
    "TrainOptions.micro_batch_tokens": "an upper bound in both layouts",
    "TrainOptions.layout": "of every row",
    "TrainOptions.group_by_prompt": "changes the order in both layouts and for every batch size",
    "TrainOptions.gradient_checkpointing": "of every layer, in every set-up",
    "TrainOptions.learning_rate": "of every step",
    "TrainOptions.schedule": "of every run of several steps",
    "TrainOptions.warmup_fraction": "above 0 it is at least one step, under every schedule",
    "TrainOptions.weight_decay": "every set-up trains matrices",
    "TrainOptions.adam_beta1": "of all four optimizers",
    "TrainOptions.adam_beta2": "of all four optimizers",
    "TrainOptions.max_grad_norm": "an upper bound",
    "TrainOptions.checkpoint_every": "the end is one more",
    "TrainOptions.keep_checkpoints": "an upper bound",
    "EarlyStoppingOptions.min_improvement": "wherever early_stopping is allowed",
    "CompareOptions.prompts": "named prompts take the place of held-out ones",
    "CompareOptions.num_prompts": "an upper bound; `palate compare RUN --prompts` asks for it too",
    "CompareOptions.max_new_tokens": "of every answer",
    "CompareOptions.temperature": "of every answer",
    "CompareOptions.votes": "of every comparison, or of every judge",
    "CompareOptions.pairs": "read by every model",
    "CompareOptions.style": "of every answer",
    "CompareOptions.drift": "of every answer",
    "CompareOptions.benchmarks": "asked of every model",
    "MPOTerm.weight": "of its term",
    "MPOTerm.objective": "a section",
    "DPO.logps": "with every divergence that allows it",
    "DPO.label_smoothing": "with either smoothing",
    "IPO.logps": "of every pair",
    "DPOP.penalty": "wherever chosen falls", "RPO.nll_weight": "above 0, on every pair",
    "EXO.label_smoothing": "above 0, on every pair",
    "DiscoPOP.tau": "of every pair",
    "SimPO.gamma": "0 is no margin to reach", "CPO.nll_weight": "0 leaves the likelihood out",
    "AOT.label_smoothing": "0 is none", "AOTUnpaired.label_smoothing": "0 is none",
    "BradleyTerry.label_smoothing": "0 is none", "BradleyTerry.center_coefficient": "0 is none",
    **{
        f"{kind}.{side}_weight": "of every completion of that label"
        for kind in ("KTO", "APOZeroUnpaired") for side in ("desirable", "undesirable")
    },
}  # fmt: skip
"""Why an option is never idle. An upper bound that is not reached has been kept."""

# Of every objective that has them, in the same sense.
OF_ALL_OBJECTIVES = {
    "beta": "scales every log-ratio",
    "weighting": "of every pair; `objectives/registry.py` lays it over any loss on pairs",
}


def is_answered(section: str, name: str) -> bool:
    place = f"{section}.{name}"
    of_objectives = name in OF_ALL_OBJECTIVES and any(k.__name__ == section for k in OBJECTIVES.values())
    return place in IDLE or place in AT_RUN_TIME or place in ALWAYS or of_objectives


@pytest.mark.parametrize(("section", "name"), FIELDS, ids=[f"{s}.{n}" for s, n in FIELDS])
def test_every_option_has_an_answer(section: str, name: str) -> None:
    assert is_answered(section, name), f"when would {section}.{name} do nothing? Say it in this file"


def test_no_answer_is_for_an_option_there_is_not() -> None:
    known = {f"{section}.{name}" for section, name in FIELDS}
    assert not (set(IDLE) | set(AT_RUN_TIME) | set(ALWAYS)) - known
    assert not set(ALWAYS) & (set(IDLE) | set(AT_RUN_TIME)), "it is idle sometimes, or it is not"


def overrides(combination: str) -> list[str]:
    """`a.b=1 c={d: 2}` by its parts: a blank inside brackets or quotes is none between parts."""
    return re.split(r" (?=[a-z_.]+=)", combination)


@pytest.mark.parametrize(
    ("place", "combination", "said"),
    [(place, *each) for place, found in IDLE.items() for each in found],
    ids=[f"{place}: {each[0]}" for place, found in IDLE.items() for each in found],
)
def test_an_idle_option_is_refused(place: str, combination: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe("output: runs/x", overrides(combination))
    assert said in str(caught.value)


@pytest.mark.parametrize("place", AT_RUN_TIME)
def test_the_place_where_it_is_refused_is_tested(place: str) -> None:
    """The file that `AT_RUN_TIME` names, or one in the folder, has the words."""
    _, named, words = AT_RUN_TIME[place]
    files = [TESTS / named] if named.endswith(".py") else sorted((TESTS / named).glob("test_*.py"))
    assert any(words in file.read_text(encoding="utf-8") for file in files)


def test_a_revision_of_a_folder_is_refused(tmp_path: Path) -> None:
    """Whether a name is a folder's only the machine knows that loads it."""
    from palate.engine import load_policy
    from palate.errors import ModelError
    from palate.recipe import ModelOptions

    with pytest.raises(ModelError, match='revision = "main" has no effect on a folder'):
        load_policy(ModelOptions(base=str(tmp_path), revision="main"))


@pytest.mark.parametrize(
    "option",
    ["train.evaluate_every=2", "train.best_metric=rewards_margin", "train.early_stopping={patience: 1}"],
)
def test_nothing_to_evaluate_on(option: str, tmp_path: Path, base: Path) -> None:
    """Held out are prompts, and one prompt cannot be on both sides."""
    from tiny_run import run, tiny_recipe, write_rows

    rows = [{"prompt": "Say it", "chosen": f"yes {i}", "rejected": f"no {i}"} for i in range(4)]
    recipe = tiny_recipe(tmp_path, base, option, data=write_rows(tmp_path / "one.jsonl", rows))
    with pytest.raises(RecipeError, match="has no effect: nothing is held out of these data"):
        run(recipe)


def test_a_reference_that_would_never_follow(tmp_path: Path, base: Path) -> None:
    from tiny_run import run, tiny_recipe

    recipe = tiny_recipe(tmp_path, base, "train.max_steps=null", "train.epochs=1", "reference.sync_every=99")
    with pytest.raises(RecipeError, match="sync_every = 99 has no effect: the run has 3 steps"):
        run(recipe)


GOOD = [
    "train.epochs=4 train.early_stopping={}",
    "train.max_steps=40 train.evaluate_every=10 train.early_stopping={}",
    "train.evaluate_every=10 train.best_metric=rewards_margin",
    "train.epochs=2 train.best_metric=rewards_accuracy",
    "model.adapter={rank: 1, rslora: true, rank_pattern: {q_proj: 4}}",
    "model.adapter={target_modules: [q_proj], layers_to_transform: [0]}",
    "reference.sync_every=40 train.max_steps=40",
    "data.eval={source: a.jsonl}",
    "objective.type=reward",
    "compare={temperature: 0.7, top_p: 0.9, samples_per_prompt: 4}",
    "compare={judge_model: a, judge_base_url: http://local/v1, rubric: writing, force: true, votes: v.csv}",
    "train.trackers=[tensorboard, wandb] train.tracker_project=mine",
    "train.optimizer=paged_adamw_8bit",
]


@pytest.mark.parametrize("combination", GOOD)
def test_what_does_something_is_taken_and_can_be_read_again(combination: str) -> None:
    """The resolved recipe names every option, and none of them may turn into an idle one by that."""
    recipe = parse_recipe("output: runs/x", overrides(combination))
    assert parse_recipe(dump_recipe(recipe)) == recipe


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_resolved_recipe_of_every_objective_can_be_read_again(name: str) -> None:
    recipe = parse_recipe("output: runs/x", [f"objective.type={name}"])
    assert parse_recipe(dump_recipe(recipe)) == recipe


@pytest.mark.parametrize(
    "slip",
    [
        "train.batch_size=1000000000",
        "train.epochs=1000000000000000000",
        "train.max_steps=1000000000000000000",
        "model.adapter.rank=100000",
        "model.adapter.rank_pattern={q_proj: 100000}",
        "data.max_length=1000000000000",
        "compare.max_new_tokens=1000000000000",
        "compare.samples_per_prompt=1000000000000",
    ],
)
def test_sizes_beyond_any_use_are_slips(slip: str) -> None:
    with pytest.raises(RecipeError, match="should be less than or equal to"):
        parse_recipe("output: runs/x", [slip])
