"""How many cores Python and joblib count: os.cpu_count, joblib.cpu_count, and joblib.cpu_count of physical cores."""
import os
import warnings

# joblib warns of what the process may not do, which is not asked here.
warnings.simplefilter("ignore")
import joblib  # noqa: E402

print(os.cpu_count(), joblib.cpu_count(), joblib.cpu_count(only_physical_cores=True))
