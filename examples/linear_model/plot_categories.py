"""
A pipeline with categories and named coefficients
=================================================

Tabular data mix numbers in different units with categories. This example one-hot encodes the
categories, leaves the numbers as they are, and reads the fitted coefficients by name. No scaler is
needed: the classifier converges whatever the units are.

The data are simulated, so that the true log-odds are known and can be drawn beside the estimates.
"""

# %%
# Simulated commuters
# -------------------
#
# Whether somebody cycles to work depends on the distance in metres, the yearly income in dollars,
# the weather and the kind of home. The two numeric columns differ by a factor of 10 in scale.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from polarstep import HalfspaceClassifier

rng = np.random.default_rng(0)
n = 20_000
commuters = pd.DataFrame(
    {
        "distance": rng.gamma(3.0, 2_000.0, n),
        "income": rng.normal(45_000.0, 12_000.0, n),
        "weather": rng.choice(["dry", "rain", "snow"], n, p=[0.6, 0.3, 0.1]),
        "home": rng.choice(["flat", "house", "shared"], n, p=[0.5, 0.3, 0.2]),
    }
)
weather = {"dry": 0.8, "rain": -0.4, "snow": -1.6}
home = {"flat": 0.2, "house": -0.3, "shared": 0.6}
log_odds = (
    1.0
    - commuters["distance"] / 5_000.0
    - (commuters["income"] - 45_000.0) / 30_000.0
    + commuters["weather"].map(weather)
    + commuters["home"].map(home)
)
cycles = rng.random(n) < 1.0 / (1.0 + np.exp(-log_odds))
commuters.head()

# %%
# The pipeline
# ------------
#
# ``C`` is the inverse strength of the penalty, as in scikit-learn's ``LogisticRegression``. A large
# value hardly penalises the estimates.

model = make_pipeline(
    make_column_transformer(
        (OneHotEncoder(), ["weather", "home"]),
        remainder="passthrough",
        verbose_feature_names_out=False,
    ),
    HalfspaceClassifier(C=100.0),
)
X_train, X_test, y_train, y_test = train_test_split(commuters, cycles, random_state=0)
model.fit(X_train, y_train)
print(f"Status: {model[-1].result_.status.name}")
print(f"Accuracy on the test set: {model.score(X_test, y_test):.3f}")

# %%
# Coefficients by name
# --------------------
#
# The indicators of one category add up to a constant column, so that only differences between the
# coefficients are meaningful. The plot therefore shows the true values and the estimates relative
# to their mean.

coefficients = pd.Series(model[-1].coef_[0], index=model[:-1].get_feature_names_out())
print(coefficients.to_string(float_format="{:.3g}".format))


def about_their_mean(values: pd.Series) -> pd.Series:
    return values - values.mean()


figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for axis, (title, truth) in zip(axes, {"weather": weather, "home": home}.items(), strict=True):
    names = [f"{title}_{level}" for level in truth]
    place = np.arange(len(truth))
    estimates = about_their_mean(coefficients[names])
    axis.bar(place - 0.2, about_their_mean(pd.Series(truth)), width=0.4, label="true")
    axis.bar(place + 0.2, estimates, width=0.4, label="estimated")
    axis.set_xticks(place, list(truth))
    axis.set_title(title)
    axis.axhline(0.0, color="grey", linewidth=0.8)
axes[0].set_ylabel("log-odds relative to their mean")
axes[1].legend()
plt.show()

# %%
# The slopes of the numeric columns are per metre and per dollar; the truth is -1/5,000 and
# -1/30,000.

print(f"per kilometre: {1000 * coefficients['distance']:.3f} (true -0.200)")
print(f"per 10,000 dollars: {10_000 * coefficients['income']:.3f} (true -0.333)")
