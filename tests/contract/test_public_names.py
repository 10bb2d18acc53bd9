"""What each room offers. A name that comes, goes or moves does so on purpose: here."""

from __future__ import annotations

import importlib

import pytest

ROOMS = {
    "palate": ["__version__"],
    "palate.annotate": [
        "Access", "Ballots", "Event", "Item", "Settings", "Standing", "VoteStore", "Voting",
        "build_app", "serve",
    ],
    "palate.asking": [
        "Account", "AskedForm", "Asker", "Attempt", "Budget", "Endpoint", "Limits", "ModelAccount", "Price",
        "PriceList", "Rehearsal", "Reply", "Request", "ResponseStore", "Status", "Stored", "Usage",
        "ask_in_order", "chat_completion", "default_store_path", "load_prices", "read_reply",
    ],
    "palate.cli": ["main"],
    "palate.data": [
        "LAYOUTS", "Conversion", "Extracts", "Judgeable", "Kind", "PairRule", "Record", "RecordSet",
        "RecordStream", "VoteFile", "Written", "blind", "convert_source", "inspect_source",
        "make_extracts", "read_comparisons", "read_documents", "read_judgeable", "read_prompts",
        "read_records", "read_references", "read_verdicts", "read_votes", "records_as",
        "split_by_prompt", "stream_records", "write_comparisons", "write_records", "write_verdicts",
        "write_votes",
    ],
    "palate.data.audit": [
        "CHECKS", "MAX_EXAMPLES", "Audit", "AuditedRecord", "Check", "CheckName", "Finding", "Severity",
        "Side", "SourceAccount", "audit_source", "build_checks",
    ],
    "palate.data.curation": [
        "Account", "Curation", "CurationOptions", "Split", "SplitOptions", "StepAccount", "curate_records",
        "split_source", "write_curation", "write_split",
    ],
    "palate.durable": [
        "MANIFEST", "append_line", "copy_part", "ensure_folder", "flush_file", "is_leftover", "new_file",
        "new_folder", "read_manifest", "refuse_closed_folder", "remove_folder", "scratch_file", "settle",
        "verify_folder",
        "write_bytes", "write_json", "write_part", "write_text",
    ],
    "palate.engine": [
        "Branch", "BranchLogps", "BranchScores", "Head", "Layout", "LayoutProof", "Policy", "Reference",
        "Rendered", "Renderer", "Sampling", "Tree", "UnusableRow", "branch_logps", "branch_scores",
        "build_tree", "generate", "load_policy", "load_tokenizer", "load_trained", "own_forward_logps",
        "prove_layout", "prove_scores", "resolve_model_folder",
    ],
    "palate.errors": [
        "ArtifactError", "CallError", "DataError", "JudgeError", "ModelError", "PalateError", "RecipeError",
        "TrainingError", "WorkError", "did_you_mean",
    ],
    "palate.evaluate": [
        "Contestant", "LogprobJudge", "RewardModelJudge", "compare_models", "held_out_accuracy",
    ],
    "palate.generate": [
        "Candidate", "Candidates", "Contrast", "Generator", "TripleFilters", "Triples",
        "generate_candidates", "generate_contrast", "generate_triples",
    ],
    "palate.home": ["palate_home"],
    "palate.judge": [
        "BUILT_IN_RUBRICS", "BUILT_IN_SCORERS", "CanaryResult", "Finding", "Judge", "JudgeCard", "JudgeSpec",
        "JudgedPairs", "Jury", "LLMJudge", "PairCounts", "PairsFromVerdicts", "Rubric", "Score", "Scorer",
        "ScorerJudge", "choose_examples", "judge_by_score", "judge_card", "load_judges", "load_rubric",
        "load_scorer", "pairs_from_scores", "pairs_from_verdicts", "preferred_of", "run_canaries",
        "score_answer",
    ],
    "palate.objectives": [
        "LabelLogps", "PairLogps", "PairScores", "RankingLogps", "aot_loss", "aot_unpaired_loss",
        "apo_down_loss", "apo_zero_loss", "apo_zero_unpaired_loss", "bco_loss", "bco_pair_loss",
        "bradley_terry_loss", "cpo_loss", "discopop_loss", "dpo_loss", "dpop_loss", "exo_loss", "hinge_loss",
        "implicit_rewards", "ipo_loss", "kto_loss", "mpo_loss", "nca_loss", "objective_for", "orpo_loss",
        "plackett_luce_loss", "rpo_loss", "sft_loss", "simpo_loss", "sppo_hard_loss", "wpo_weights",
    ],
    "palate.pipeline": [
        "Address", "annotate_source", "build_judge", "compare_command", "compare_stage", "diagnose_stage",
        "export_votes", "import_vote_file", "judge_file", "judge_material", "plan_recipe", "read_material",
        "read_standing", "report_stage", "resume_run", "run_demo", "run_recipe", "tokens_of_model",
        "train_stage",
    ],
    "palate.playground": [
        "StyleName", "held_out_prompts", "is_correct", "model_folder", "palate_home", "preferred_style",
        "style_of", "training_prompts", "write_pairs",
    ],
    "palate.recipe": [
        "AOT", "BCO", "CPO", "DPO", "DPOP", "EXO", "IPO", "KTO", "LABEL_LAYOUTS", "MPO", "NCA",
        "OBJECTIVES", "ORPO", "RANKING_LAYOUTS", "RPO", "SFT", "AOTUnpaired", "APODown", "APOZero",
        "APOZeroUnpaired", "AdapterOptions", "AuditOptions", "BCOPair", "BradleyTerry", "ColumnOptions",
        "CompareOptions",
        "DataOptions", "DiscoPOP", "EarlyStoppingOptions", "ExistingAdapterOptions", "Hinge",
        "LoraOptions", "MPOTerm", "ModelOptions", "Objective", "ObjectiveOptions", "PairObjective",
        "PlackettLuce", "QuantizationOptions", "Recipe", "ReferenceOptions", "SPPOHard", "SimPO",
        "SourceOptions", "TrainOptions", "dump_recipe", "load_recipe", "parse_recipe", "write_recipe",
    ],
    "palate.records": [
        "Answer", "Comparison", "Document", "Extract", "JudgeCall", "Labelled", "Message", "Messages", "Pair",
        "Provenance", "Ranking", "SetAside", "Verdict", "Vote", "as_messages", "content_id",
    ],
    "palate.report": ["build_report", "render_comparison", "render_summary"],
    "palate.statistics": [],
    "palate.train": [
        "Example", "ExampleSet", "Interrupted", "Processes", "RunFolder", "encode_records", "file_hash",
        "join_processes", "train",
    ],
    "palate.watcher": ["Watcher"],
}  # fmt: skip


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_offers_what_it_says(room: str) -> None:
    module = importlib.import_module(room)
    assert list(module.__all__) == ROOMS[room]
    assert all(hasattr(module, name) for name in module.__all__)


def test_no_room_is_missing() -> None:
    from pathlib import Path

    import palate

    house = Path(palate.__file__).parent
    rooms = {f"palate.{path.stem}" for path in house.iterdir() if not path.name.startswith(("__", "py."))}
    assert rooms | {"palate"} == {name for name in ROOMS if name.count(".") < 2}
