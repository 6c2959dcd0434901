"""AEPO and SPA in one loop: AEPO selects responses to label, the policy judges the others."""

from flows.continuing import inherited, leave, require_new
from flows.parts import part
from flows.prompts import Prompts
from flows.running import run
from flows.scoreboard import Result, Scoreboard
from flows.steps import Past, accelerated, held_back, propose, replayed, self_judge, weighed
from prefopt_core.experiments.flows import AlignConfig
from prefopt_core.store.artifacts import Artifact
from tasks.annotation import annotate_responses
from tasks.inputs import load_prompts
from tasks.models import load_policy
from tasks.overlap import overlapping, settled
from tasks.pairing import pair_responses
from tasks.scoring import score_responses
from tasks.training import train_policy


@run("align")
def align(config: AlignConfig) -> Result:
    """In rounds: sample, select, buy a few labels, judge the rest, train."""
    seed, scoring = config.seed, config.scoring
    kept, left = inherited(config)  # of the run that this one continues
    policies = [kept or load_policy(config.policy, seed)]  # π_init
    trained = [*policies]  # what the policies are without momentum
    every = load_prompts(config.prompts, seed)
    require_new(every, config, left)
    prompts = Prompts(config, every, left.prompts, left.held_out)
    board = Scoreboard("align", config, prompts.held_out)
    board.measure(policies[0])
    labelled = [*left.labelled]  # pairs of rounds that bought labels
    vectors = [*left.embeddings]  # embeddings of their responses
    held_out: list[Artifact] = []  # labelled pairs to calibrate the judge by
    for number, turn in enumerate(config.rounds, 1):
        if board.stops():
            break
        policy = policies[-1]
        name = f"round {number}"
        with part(name, policy):
            fresh = prompts.draw(config.first_prompt(number), turn.prompts, name)  # X_t
            past = Past(config, policies, labelled, vectors)
            labels = None
            with overlapping():
                asked = propose(fresh, policy, config, seed, past)  # k of N ~ π_{t-1}
                logps = score_responses(asked, policy, scoring)  # log π_{t-1}
                judgments = self_judge(asked, logps, policies, held_out, config)
                if turn.labels:
                    labels = annotate_responses(
                        asked,
                        config.annotation,
                        turn.labels,
                        seed,
                        allowance=config.allowance,
                        judgments=judgments if config.annotation.first == "least_sure" else None,
                    )
            asked, logps, judgments, labels = settled((asked, logps, judgments, labels))
            if labels:
                board.labelled(labels, asked.candidates)
            pairs = pair_responses(
                labels=labels,
                judgments=judgments,
                candidates=asked.candidates,
                prompts=asked.prompts,
                logps=logps,
                config=config.pairing,
                round_number=number,
                seed=seed,
            )
            pairs = weighed(pairs, judgments, asked, policies, held_out, config)
            if labels:
                pairs, more = held_back(pairs, config)
                held_out += more
            board.lint(pairs)
            again = replayed(labelled, pairs, policy, config)
            training = config.training.for_round(max(1, number - 1), turn.epochs)
            # π_t; its reference model is π_{t-1}
            trained.append(train_policy([pairs, *again], policy, training, seed))
            policies.append(accelerated(trained, training))
            labelled += [pairs] if labels else []
            vectors += [asked.embeddings] if labels and asked.embeddings else []
        judged = asked if judgments else None
        board.measure(policies[-1], pairs, labels=labels, judged=judged, proposal=asked)
    result = board.result()
    leave(config, left, prompts, labelled, vectors)
    return result
