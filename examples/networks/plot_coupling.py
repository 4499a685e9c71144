"""
A heat map of the coupling between layers
=========================================

How much does the gradient of one layer change when the weights of another layer change?
``coupling`` computes the Frobenius norms of the Hessian's blocks between parameters, for any
network.
"""

# %%
# The network has two convolutions with batch normalization in training mode and two linear layers.

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

from polarstep.curvature import coupling

pixels, labels = load_digits(return_X_y=True)
images = torch.tensor(pixels[:128], dtype=torch.float32).reshape(-1, 1, 8, 8) / 16.0
targets = torch.tensor(labels[:128])
torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
    nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.ReLU(),
    nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 10),
)  # fmt: skip

# %%
# ``method="sketch"`` estimates the norms from Hessian-vector products with random vectors and gives
# a standard error for each. ``scale="relative"`` makes the blocks comparable between layers whose
# weights differ in size.

found = coupling(model, cross_entropy, (images, targets), method="sketch", scale="relative")
print(found)

# %%
found.plot()
plt.show()

# %%
# After training
# --------------
#
# The heat map changes after a few steps of gradient descent with momentum.

optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for _ in range(30):
    optimizer.zero_grad()
    cross_entropy(model(images), targets).backward()
    optimizer.step()
trained = coupling(model, cross_entropy, (images, targets), method="sketch", scale="relative")
trained.plot()
plt.show()

# %%
# The norms can also be read by name, as a data frame, or as JSON.

print(f"first and second convolution: {trained['0.weight', '3.weight']:.3g}")
print(f"first convolution and last layer: {trained['0.weight', '9.weight']:.3g}")
