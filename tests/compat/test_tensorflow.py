from __future__ import annotations

import subprocess
import sys


def test_packages_that_nothing_needs_are_not_imported_and_can_be_afterwards() -> None:
    program = (
        "import sys, odrun.compat.tensorflow as t; before = {'pandas', 'sklearn'} & set(sys.modules);"
        "import pandas, sklearn.metrics; print(before, t.tf.constant(1).numpy(), pandas.DataFrame({'a': [1]}).a[0])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["set()", "1", "1"]


def test_what_is_imported_already_stays() -> None:
    program = "import sys, sklearn; import odrun.compat.tensorflow; print(sys.modules['sklearn'] is sklearn)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["True"]
