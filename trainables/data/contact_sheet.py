"""A picture of what a trial would train on: originals, two views of each, and mixed images."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from trainables.arms.mixco import mixco
from trainables.config import TrialConfig
from trainables.data.dataset import Dataset
from trainables.errors import shown
from trainables.views.augment import apply_views
from trainables.views.parameters import draw_views
from trainables.views.policy import policy_of

COLUMNS = 12
_CELL = 96  # pixels; small images are enlarged by a whole factor up to about this
_GAP = 4
_CAPTION = 18
_MARGIN = 72


def contact_sheet(data: Dataset, columns: int = COLUMNS, seed: int = 0) -> Image.Image:
    """Training images in rows: as they are, view 1, view 2, and mixed as MixCo mixes view 1.

    The columns (a multiple of 4) are one batch: column i is mixed with column i + columns/2. The
    captions are the class, and for mixed images the two columns and lambda, the first one's share.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(data.train), generator=generator)[:columns]
    images = data.train.images[chosen]
    config = TrialConfig()
    policy = policy_of(config, data)
    view_1, view_2 = (
        apply_views(images, draw_views(columns, data.image_size, policy, generator), policy)
        for _ in range(2)
    )
    mixture = mixco(view_1, config.mix_alpha, generator)
    labels = data.train.labels[chosen].tolist()
    lambdas = zip(mixture.first, mixture.second, mixture.share, strict=True)
    return _draw(
        [
            ("original", images / 255, [shown(data.classes[label]) for label in labels]),
            ("view 1", view_1, []),
            ("view 2", view_2, []),
            ("mixed", mixture.images, [f"{i + 1}+{j + 1}: lambda {x:.2f}" for i, j, x in lambdas]),
        ]
    )


def _draw(rows: list[tuple[str, Tensor, list[str]]]) -> Image.Image:
    """The picture. Each row has a title, images [N, C, S, S] in 0..1, and captions."""
    columns, _, size, _ = rows[0][1].shape
    cell = size * max(1, round(_CELL / size))
    font = ImageFont.load_default(12)
    wrapped = [[_wrapped(text, font, cell) for text in captions] for *_, captions in rows]
    room = [_CAPTION * max(map(len, captions), default=0) for captions in wrapped]
    height = sum(cell + _GAP + lines for lines in room)
    shape = (_MARGIN + columns * (cell + _GAP), _CAPTION + height)
    sheet = Image.new("RGB", shape, "white")
    draw = ImageDraw.Draw(sheet)
    for column in range(columns):
        draw.text((_MARGIN + column * (cell + _GAP), 2), str(column + 1), "black", font)
    y = _CAPTION
    for (title, images, _), captions, lines in zip(rows, wrapped, room, strict=True):
        draw.text((_GAP, y + cell // 2 - 6), title, "black", font)
        pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).expand(-1, -1, -1, 3)
        for column, picture in enumerate(pixels):
            image = Image.fromarray(picture.numpy()).resize((cell, cell), Image.Resampling.NEAREST)
            sheet.paste(image, (_MARGIN + column * (cell + _GAP), y))
        y += cell + _GAP
        for column, caption in enumerate(captions):
            for number, line in enumerate(caption):
                place = (_MARGIN + column * (cell + _GAP), y - 2 + number * _CAPTION)
                draw.text(place, line, "black", font)
        y += lines
    return sheet


def _wrapped(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[str]:
    """The text in lines of at most ``width`` pixels, broken at spaces where there are some."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        lines += [""] if lines[-1] else []
        for sign in word:
            if font.getlength(lines[-1] + sign) > width and lines[-1]:
                lines.append("")
            lines[-1] += sign
    return lines
