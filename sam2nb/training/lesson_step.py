"""One step on lessons: the mask decoder learns from features that are computed once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sam2nb.model.mask_decoder import take_best, take_multimask, take_single_mask
from sam2nb.model.sam2 import SAM2
from sam2nb.structures import MaskPrediction, Prompts
from sam2nb.training.data.lessons import Lesson
from sam2nb.training.distillation import choose_truth, one_click
from sam2nb.training.losses import averaged, imitation_losses, mask_losses
from sam2nb.training.phase import Phase
from sam2nb.training.simulated_user import BOX_NOISE, boxes_around, correct, first_clicks

OBJECTS = 4  # of a lesson, in one step
IMITATE = 0.4  # probability that a photograph is clicked at random and all three masks of the teacher are learned

BOX = 0.6  # probability that an object with a known mask is prompted by a box
TIGHT, TIGHT_NOISE = 0.6, 0.02  # probability of a box that fits, and its inaccuracy, as a fraction of the side
OTHERS = 0.5  # weight of the three masks where the single one is asked for: an unstable single mask gives way to them

Imitated = tuple[Tensor, Tensor]  # three masks (N, 3, 4h, 4w) in 0..1 and their quality (N, 3), of a teacher


class LessonStep(nn.Module):
    """The losses of lessons, so that one `forward` is one step."""

    def __init__(self, model: SAM2) -> None:
        super().__init__()
        self.model = model

    def forward(self, lessons: tuple[Lesson, ...], rng: np.random.Generator, phase: Phase) -> dict[str, Tensor]:
        """Sums over the lessons, divided by their number: scalars by name"""
        sums: dict[str, Tensor] = {}
        for lesson in lessons:
            for name, loss in self.learn(lesson, rng, phase.rounds).items():
                sums[name] = sums.get(name, 0) + loss / len(lessons)
        return sums

    def learn(self, lesson: Lesson, rng: np.random.Generator, rounds: int) -> dict[str, Tensor]:
        """The losses of one lesson."""
        if lesson.remembers.any():
            return self.tracked(lesson)
        if len(lesson.mask_prompts):
            return self.given(lesson)
        if len(lesson.clicks) and (rng.random() < IMITATE or not len(lesson.truth)):
            return self.imitate(lesson, rng, rounds)
        rows = torch.from_numpy(rng.permutation(len(lesson.truth))[:OBJECTS])
        if not len(rows):
            return {"dice": sum(parameter.sum() for parameter in self.model.parameters()) * 0}
        truth = lesson.truth[rows]
        by_click = rng.random() >= BOX
        noise = TIGHT_NOISE if rng.random() < TIGHT else BOX_NOISE
        prompts = first_clicks(rng, truth > 0.5) if by_click else boxes_around(rng, truth > 0.5, noise)
        return self.converse(lesson, rng, rounds, prompts, truth, multimask=by_click)

    def converse(
        self,
        lesson: Lesson,
        rng: np.random.Generator,
        rounds: int,
        prompts: Prompts,
        truth: Tensor,
        multimask: bool,
        goal: Imitated | None = None,
    ) -> dict[str, Tensor]:
        """A first prompt and up to rounds - 1 corrections; goal: what the first answer should be like, if given."""
        image = lesson.embedding + self.model.no_mem_embed.view(1, -1, 1, 1)
        conversation = []
        for _ in range(int(rng.integers(1, rounds + 1))):
            found = self.model.predict_all_masks(image, lesson.high_res, prompts)
            prediction, three = take_single_mask(found), take_multimask(found)
            if multimask:
                prediction = three
                imitated = goal is not None and not conversation
                losses = imitation_losses(three, *goal) if imitated else mask_losses(three, truth)
            else:
                losses = both(mask_losses(prediction, truth), mask_losses(three, truth))
            losses.pop("object", None)  # every object is there
            conversation.append(losses)
            prompts, multimask = correct(rng, prompts, take_best(prediction).logits, truth > 0.5), False
        return averaged(conversation)

    def imitate(self, lesson: Lesson, rng: np.random.Generator, rounds: int) -> dict[str, Tensor]:
        """Random clicks: the teacher's three masks, slot by slot; then corrections towards one of them."""
        rows = torch.from_numpy(rng.permutation(len(lesson.clicks))[:OBJECTS])
        answers, quality = lesson.answers[rows], lesson.quality[rows]
        chosen = choose_truth(rng, MaskPrediction(answers - 0.5, quality, quality, quality))
        usable = (chosen >= 0)[:, None]
        answers = answers * usable[..., None, None]
        truth = answers[torch.arange(len(rows)), chosen.clamp(min=0)]
        prompts = one_click(lesson.clicks[rows], lesson.side)
        return self.converse(lesson, rng, rounds, prompts, truth, multimask=True, goal=(answers, quality * usable))

    def tracked(self, lesson: Lesson) -> dict[str, Tensor]:
        """A frame without a prompt: true masks, and the pointers of objects that are there stay as they were."""
        prompts = Prompts.padding(len(lesson.embedding), lesson.embedding.device)
        high_res = tuple(level.expand(len(lesson.embedding), -1, -1, -1) for level in lesson.high_res)
        prediction = self.model.predict_masks(lesson.embedding, high_res, prompts, multimask=True)
        there = lesson.truth.flatten(1).amax(1) > 0
        return mask_losses(prediction, lesson.truth) | self.kept(take_best(prediction), lesson.pointers, there)

    def given(self, lesson: Lesson) -> dict[str, Tensor]:
        """A frame prompted by masks: the decoder only makes pointers."""
        prompts = Prompts.padding(len(lesson.mask_prompts), lesson.mask_prompts.device, lesson.mask_prompts)
        prediction = self.model.predict_masks(lesson.embedding, lesson.high_res, prompts, multimask=False)
        return self.kept(prediction, lesson.pointers, lesson.truth.flatten(1).amax(1) > 0)

    def kept(self, prediction: MaskPrediction, pointers: Tensor, there: Tensor) -> dict[str, Tensor]:
        """How far the pointers of objects that are there have moved, as a share of their spread."""
        moved = (self.model.obj_ptr_proj(prediction.tokens[:, 0]) - pointers).square().mean(1)
        return {"pointer": (moved * there).sum() / there.sum().clamp(min=1) / pointers.var().clamp(min=1e-3)}


def both(single: dict[str, Tensor], three: dict[str, Tensor]) -> dict[str, Tensor]:
    """The losses of the single mask and, with less weight, of the three others."""
    return {name: (loss + OTHERS * three[name]) / (1 + OTHERS) for name, loss in single.items()}
