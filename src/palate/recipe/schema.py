"""Everything a recipe can say. Each option is declared, explained and bounded here, and nowhere else."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from palate.recipe.compare_options import CompareOptions
from palate.recipe.objective import DPO, ObjectiveOptions
from palate.recipe.section import PositiveInt, Section, Tokens
from palate.recipe.source import SourceOptions

__all__ = [
    "ADAPTERS",
    "AdapterOptions",
    "AuditOptions",
    "DataOptions",
    "ExistingAdapterOptions",
    "LoraOptions",
    "ModelOptions",
    "QuantizationOptions",
    "Recipe",
    "TrainOptions",
]

BlockingCheck = Literal["identical_pair", "empty_side", "template_token"]
Tracker = Literal["tensorboard", "wandb", "comet_ml", "mlflow", "trackio"]
Fraction = Annotated[float, Field(ge=0, lt=1)]
# Beyond any use: such numbers are slips, and would only show as memory that runs out hours later.
Rank = Annotated[int, Field(gt=0, le=8192)]
BatchSize = Annotated[int, Field(gt=0, le=2**20)]


class LoraOptions(Section):
    """A LoRA adapter (Hu et al. 2021, arXiv:2106.09685), held in fp32 whatever the base is held in."""

    type: Literal["lora"] = "lora"
    """The kind of adapter."""
    rank: Rank = 16
    """The inner dimension of the update."""
    alpha: Annotated[float, Field(gt=0)] = 32
    """The update is scaled by alpha / rank (by alpha / sqrt(rank) with `rslora`)."""
    dropout: Fraction = 0.0
    """Dropout on the adapter's input while training."""
    target_modules: str | list[str] = "all-linear"
    """`all-linear`, a list of module names, or a regular expression over whole module paths."""
    exclude_modules: str | list[str] | None = None
    """Modules left out of `target_modules`: a list of names or a regular expression."""
    layers_to_transform: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    """Only these layer numbers get an adapter; needs `target_modules` as a list. All of them where absent."""
    modules_to_save: list[str] | None = None
    """Modules trained whole beside the adapter, such as `lm_head`."""
    rank_pattern: dict[str, Rank] = Field(default_factory=dict)
    """Ranks of their own for modules whose name matches."""
    alpha_pattern: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Alphas of their own for modules whose name matches."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank) (Kalajdzievski 2023, arXiv:2312.03732)."""

    @model_validator(mode="after")
    def _layers_are_of_named_modules(self) -> Self:
        if self.layers_to_transform is not None and isinstance(self.target_modules, str):
            raise ValueError(
                f'layers_to_transform does not go with target_modules = "{self.target_modules}": '
                "name the modules in a list, such as target_modules=[q_proj, v_proj]"
            )
        return self

    @model_validator(mode="after")
    def _rslora_has_effect(self) -> Self:
        if self.rslora and {self.rank, *self.rank_pattern.values()} == {1}:
            raise ValueError("rslora has no effect with rank = 1: alpha / sqrt(1) is alpha / 1")
        return self


class ExistingAdapterOptions(Section):
    """A LoRA adapter that was trained before and is trained on; it brings its own rank and targets."""

    type: Literal["existing"]
    """The kind of adapter."""
    path: Annotated[str, Field(min_length=1)]
    """An adapter's folder, or the folder of a run that left one."""


ADAPTERS: dict[str, type[Section]] = {"lora": LoraOptions, "existing": ExistingAdapterOptions}
"""Every kind of adapter, by its type."""


def _adapter_type(value: Any) -> Any:
    """A fresh LoRA adapter where nothing is said: `adapter: {rank: 8}` is enough."""
    return value.get("type", "lora") if isinstance(value, dict) else getattr(value, "type", None)


AdapterOptions = Annotated[
    Annotated[LoraOptions, Tag("lora")] | Annotated[ExistingAdapterOptions, Tag("existing")],
    Discriminator(_adapter_type),
]


class QuantizationOptions(Section):
    """The base held in four bits under an adapter: QLoRA (Dettmers et al. 2023, arXiv:2305.14314)."""

    type: Literal["nf4", "fp4"] = "nf4"
    """The sixteen values a weight may take: `nf4` those of a normal distribution, `fp4` a small float's."""
    double: bool = True
    """Hold the scale of each block of weights in eight bits too (double quantisation, section 3)."""


class ModelOptions(Section):
    """The model to align."""

    base: str = "playground"
    """A Hugging Face Hub name, a local folder, or `playground`."""
    revision: str | None = None
    """A branch, tag or commit of a Hub model."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What the base weights are held in. `auto` takes the checkpoint's own, where the device can."""
    device: str = "auto"
    """`auto` takes cuda, else mps, else cpu; or name one, such as `cuda:1`."""
    attention: Literal["auto", "sdpa", "eager", "flex_attention"] = "auto"
    """Which attention kernel runs. `auto` takes flex_attention on cuda, else sdpa, where the model can."""
    quantization: QuantizationOptions | None = None
    """Holds the base's linear layers in four bits; `{}` takes the defaults. Head and embeddings stay."""
    adapter: AdapterOptions | None = LoraOptions()
    """What is trained over the base; `null` trains every weight, held in fp32."""

    @model_validator(mode="after")
    def _a_quantised_base_has_an_adapter(self) -> Self:
        if self.quantization is not None and self.adapter is None:
            raise ValueError(
                "adapter = null trains every weight, and four bits are too few to train: "
                "give the model an adapter, or drop quantization"
            )
        return self

    @model_validator(mode="after")
    def _revision_has_effect(self) -> Self:
        if self.revision is not None and self.base == "playground":
            raise ValueError('revision has no effect with base "playground": it belongs to a Hub model')
        return self


class AuditOptions(Section):
    """The audit that every run begins with. It decides whether a run begins, never what it becomes."""

    allow: tuple[BlockingCheck, ...] = ()
    """Errors to train in spite of."""
    near_duplicates: bool = True
    """Search for near duplicates too, where there are at most 20,000 rows."""

    @model_validator(mode="after")
    def _allows_each_once(self) -> Self:
        if len(set(self.allow)) < len(self.allow):
            raise ValueError("allow names one twice")
        return self


class DataOptions(Section):
    """What the model learns from, and how its text becomes tokens."""

    train: SourceOptions = SourceOptions()
    """The pairs to learn from."""
    eval: SourceOptions | None = None
    """Held-out pairs; where absent, `eval_fraction` of the training prompts are held out."""
    eval_fraction: Fraction = 0.1
    """Share of training prompts held out when there is no `eval`; pairs of one prompt stay on one side."""
    system: str | None = None
    """A system message put before every prompt that has none."""
    template: Literal["tokenizer", "chatml", "alpaca", "plain"] = "tokenizer"
    """How messages become text: the tokenizer's own chat template, or a named one."""
    max_length: Tokens = 1024
    """The most tokens of prompt and completion together."""
    too_long: Literal["drop", "truncate_prompt", "error"] = "drop"
    """What happens to a pair with a longer side. `truncate_prompt` cuts the prompt's beginning."""
    audit: AuditOptions | None = AuditOptions()
    """What is looked for in the data before training; `null` trains on whatever they are."""


class TrainOptions(Section):
    """How training goes."""

    epochs: Annotated[float, Field(gt=0, le=100_000)] = 1
    """Passes over the training pairs; a fraction is a part of one."""
    max_steps: Annotated[int, Field(gt=0, le=10**9)] | None = None
    """Stop after so many optimizer steps. Less than an epoch learns from a part, the same for any seed."""
    batch_size: BatchSize = 8
    """Pairs per optimizer step."""
    micro_batch_tokens: PositiveInt | Literal["auto"] = "auto"
    """The most tokens in memory at once; the batch is cut to fit, and its result does not change."""
    layout: Literal["tree", "padded"] = "tree"
    """`tree` computes every distinct token once; `padded` each completion by itself, as others do."""
    group_by_prompt: bool = False
    """Put pairs of one prompt into one batch, where the tree shares most."""
    gradient_checkpointing: bool = False
    """Keep only each layer's input for the backward pass and compute the rest again: slower, smaller."""
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw", "paged_adamw_8bit"] = "adamw"
    """`8bit` holds moments of large matrices in eight bits; `paged` moves them to the host (cuda only)."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    """The peak learning rate of AdamW."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after warm-up: to zero along a line or a cosine, or not at all."""
    warmup_fraction: Fraction = 0.1
    """The share of all steps over which the learning rate rises from zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """AdamW's decoupled weight decay, on matrices only."""
    adam_beta1: Fraction = 0.9
    """AdamW's first-moment decay."""
    adam_beta2: Fraction = 0.999
    """AdamW's second-moment decay."""
    max_grad_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Gradients with a larger norm are scaled down to it; `null` leaves them."""
    evaluate_every: PositiveInt | Literal["epoch"] = "epoch"
    """Steps between evaluations on the held-out pairs; the end of training is always evaluated."""
    checkpoint_every: PositiveInt | Literal["epoch"] = "epoch"
    """Steps between checkpoints; the end of training always leaves one."""
    keep_checkpoints: PositiveInt = 2
    """How many of the newest checkpoints stay on disk, beside the best."""
    best_metric: Literal["loss", "rewards_accuracy", "rewards_margin"] = "loss"
    """Which evaluation figure decides the best step: the lowest loss, or the highest of the others."""
    early_stopping: EarlyStoppingOptions | None = None
    """Stop when `best_metric` no longer improves; `null` trains through."""
    trackers: tuple[Tracker, ...] = ()
    """Where the run can be watched beside metrics.jsonl; `pip install 'palate[trackers]'` brings them."""
    tracker_project: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    """The project, or experiment, that trackers put the run into; `palate` where absent."""

    @property
    def most_evaluations_before_the_end(self) -> int | None:
        """How many there can be at most, that of the last step apart; None where only the data tell."""
        if self.evaluate_every == "epoch":
            return math.ceil(self.epochs) - 1
        return (self.max_steps - 1) // self.evaluate_every if self.max_steps is not None else None

    @model_validator(mode="after")
    def _trackers_have_effect(self) -> Self:
        if len(set(self.trackers)) < len(self.trackers):
            raise ValueError("trackers names one twice")
        if self.tracker_project is not None and not set(self.trackers) - {"tensorboard"}:
            raise ValueError(
                "tracker_project has no effect: no tracker is named that sorts runs into projects"
            )
        return self


class EarlyStoppingOptions(Section):
    """Stopping when the held-out figures no longer improve."""

    patience: PositiveInt = 3
    """Stop after this many evaluations in a row without a better `best_metric`."""
    min_improvement: Annotated[float, Field(ge=0)] = 0.0
    """By how much the metric has to be better to count."""


class ReferenceOptions(Section):
    """What the policy is compared with, where the objective compares it with anything."""

    model: str | None = None
    """Another model: a Hub name, or a model's, adapter's or run's folder; else the model as it starts."""
    sync_every: PositiveInt | None = None
    """Let the reference follow the policy, every so many steps (TR-DPO, arXiv:2404.09656)."""
    sync_mixup: Annotated[float, Field(gt=0, le=1)] = 0.6
    """How much of the policy a following reference takes on each time; 1 makes it a copy."""

    @model_validator(mode="after")
    def _options_have_effect(self) -> Self:
        if self.sync_every is None and self.sync_mixup != ReferenceOptions.model_fields["sync_mixup"].default:
            raise ValueError("sync_mixup has no effect without sync_every")
        if self.sync_every is not None and self.model is not None:
            raise ValueError("sync_every lets it follow the policy, and model makes it another: drop one")
        return self


class Recipe(Section):
    """One run, from data to evidence."""

    output: Annotated[str, Field(min_length=1)]
    """The run folder."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seeds data order, adapter initialisation, dropout and sampling."""
    model: ModelOptions = ModelOptions()
    """The model to align."""
    data: DataOptions = DataOptions()
    """What it learns from."""
    objective: ObjectiveOptions = DPO()
    """What it minimises."""
    reference: ReferenceOptions = ReferenceOptions()
    """What the objective compares the policy with."""
    train: TrainOptions = TrainOptions()
    """How training goes."""
    parallel: Literal["ddp", "fsdp2", "deepspeed"] = "ddp"
    """Of several processes `ddp` gives each the whole model, `fsdp2` a part, `deepspeed` a part of the
    optimizer's state; a resumed run may change it."""
    deepspeed: Annotated[str, Field(min_length=1)] | None = None
    """DeepSpeed's config, a JSON file, of ZeRO stage 1 or 2; with `parallel: deepspeed`."""
    compare: CompareOptions | None = CompareOptions()
    """How base and tuned are compared; `null` skips it."""

    @model_validator(mode="after")
    def _options_have_effect(self) -> Self:
        if self.data.eval is not None and "eval_fraction" in self.data.model_fields_set:
            raise ValueError(
                "data.eval_fraction has no effect when data.eval names the held-out pairs: drop one"
            )
        if self.data.eval is None and self.data.eval_fraction == 0:
            for name in ("evaluate_every", "best_metric", "early_stopping"):
                if getattr(self.train, name) != TrainOptions.model_fields[name].default:
                    raise ValueError(
                        f"train.{name} has no effect without held-out pairs: "
                        "name some with data.eval, or hold some out with data.eval_fraction"
                    )
        return self

    @model_validator(mode="after")
    def _deepspeed_has_its_config(self) -> Self:
        if self.parallel != "deepspeed":
            if self.deepspeed is not None:
                raise ValueError(
                    f'deepspeed has no effect with parallel = "{self.parallel}": set parallel=deepspeed'
                )
            return self
        if self.deepspeed is None:
            raise ValueError('parallel = "deepspeed" needs its config: name a file with deepspeed=...')
        if self.train.optimizer != "adamw":
            raise ValueError(
                f'parallel = "deepspeed" divides the optimizer\'s state, and "{self.train.optimizer}" cannot '
                "be divided: take train.optimizer=adamw"
            )
        if self.model.dtype == "float16":
            raise ValueError(
                'parallel = "deepspeed" keeps no loss scale, which model.dtype = float16 needs: '
                "take bfloat16, or parallel=ddp"
            )
        return self

    @model_validator(mode="after")
    def _a_divided_model_can_be_trained(self) -> Self:
        if self.parallel != "fsdp2":
            return self
        if self.model.quantization is not None:
            raise ValueError(
                'parallel = "fsdp2" cannot divide a quantised base: drop model.quantization, '
                "or keep it whole in every process with parallel=ddp"
            )
        if self.model.adapter is None and self.train.optimizer != "adamw":
            raise ValueError(
                f'parallel = "fsdp2" divides the optimizer\'s state too, and "{self.train.optimizer}" cannot '
                "be divided: take train.optimizer=adamw"
            )
        if self.model.adapter is None and self.reference.sync_every is not None:
            raise ValueError(
                'parallel = "fsdp2" divides all weights, and a reference that follows them (sync_every) '
                "needs them whole: train an adapter, or keep them whole with parallel=ddp"
            )
        return self

    @model_validator(mode="after")
    def _evaluations_can_decide_something(self) -> Self:
        before_the_end = self.train.most_evaluations_before_the_end
        early = self.train.early_stopping
        if early is not None and before_the_end is not None and before_the_end < early.patience:
            raise ValueError(
                f"train.early_stopping has no effect: it takes {early.patience} evaluations before the end "
                f"to stop, and there are {before_the_end}: set train.evaluate_every, or lower its patience"
            )
        if before_the_end == 0 and self.train.best_metric != TrainOptions.model_fields["best_metric"].default:
            raise ValueError(
                "train.best_metric has no effect: the only evaluation is that of the end: "
                "set train.evaluate_every"
            )
        return self

    @model_validator(mode="after")
    def _options_fit_the_steps_and_the_device(self) -> Self:
        sync, most = self.reference.sync_every, self.train.max_steps
        if sync is not None and most is not None and sync > most:
            raise ValueError(
                f"reference.sync_every = {sync} has no effect: the run ends after train.max_steps = {most}"
            )
        if self.train.optimizer.startswith("paged") and self.model.device in ("cpu", "mps"):
            raise ValueError(
                f'train.optimizer = "{self.train.optimizer}" needs a cuda device, and model.device is '
                f"{self.model.device}: take {self.train.optimizer.removeprefix('paged_')}"
            )
        return self

    @model_validator(mode="after")
    def _objective_uses_what_it_is_given(self) -> Self:
        name = self.objective.type
        if not self.objective.needs_reference and self.reference != ReferenceOptions():
            raise ValueError(f"reference has no effect: objective {name} compares with none")
        compared = "compare" in self.model_fields_set and self.compare is not None
        if self.objective.reads == "scores" and compared:
            raise ValueError(f"compare has no effect: objective {name} answers nothing; write compare: null")
        for source in (self.data.train, self.data.eval):
            if source is not None and source.margin_column is not None and not self.objective.takes_margin:
                raise ValueError(f"margin_column has no effect: objective {name} takes no margins")
            if source is not None and source.score_margin and not self.objective.takes_margin:
                raise ValueError(f"score_margin has no effect: objective {name} takes no margins")
            if source is not None and source.pair_rule != "all" and self.objective.data != "pairs":
                raise ValueError(f"pair_rule has no effect: objective {name} learns from no pairs")
            if source is not None and source.weight_column is not None and self.objective.couples_batch:
                raise ValueError(f"weight_column has no effect: objective {name} weighs no single example")
        return self
