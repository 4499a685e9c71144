"""
Angles and lengths in TensorBoard
=================================

``Diagnostics`` reads from the optimizer how far each layer turned, how its lengths changed, and how
well conditioned its inputs are. It writes to any object that has TensorBoard's ``add_scalar``.
"""

# %%
import tempfile

import matplotlib.pyplot as plt
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.tensorboard import SummaryWriter

from polarstep.optim import Diagnostics, LengthDirection

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
optimizer = LengthDirection(model, lr=0.04, start_length=1.0)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100)
watch = Diagnostics(optimizer)

# %%
# The training loop writes a few numbers for each layer at every fifth step.

folder = tempfile.TemporaryDirectory()
writer = SummaryWriter(folder.name)
mixing = torch.randn(20, 20)
for step in range(100):
    inputs = torch.randn(128, 20) @ mixing
    targets = inputs[:, :4].argmax(dim=1)
    optimizer.zero_grad()
    loss = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    schedule.step()
    if step % 5 == 0:
        writer.add_scalar("loss", loss.item(), step)
        watch.write(writer, step)
writer.close()

# %%
# ``tensorboard --logdir`` would show the curves in a browser. Here they are read back from the
# files and drawn.

events = EventAccumulator(folder.name).Reload()
tags = events.Tags()["scalars"]
print("\n".join(sorted(tags)[:6]), "...", sep="\n")
folder.cleanup()

figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for axis, quantity in zip(axes, ("angle_mean", "length_mean"), strict=True):
    for tag in sorted(tags):
        if tag.endswith(quantity):
            curve = events.Scalars(tag)
            axis.plot([e.step for e in curve], [e.value for e in curve], "o-", label=tag)
    axis.set_xlabel("step")
    axis.set_title(quantity.replace("_", " "))
    axis.legend(fontsize=8)
plt.show()

# %%
# The angle follows the schedule, because the learning rate *is* the angle. The lengths are updated
# independently of it.
