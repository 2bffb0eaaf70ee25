"""Which folder of the repository is which package: all of them are installed below the one name `spikeport`."""

from setuptools import find_namespace_packages, setup

FOLDERS = {
    "spikeport": "spikeport",
    "spikeport.pipeline": "pipeline",
    "spikeport.export": "export",
    "spikeport.hardware_profiles": "hardware_profiles",
    "spikeport.recipes": "recipes",
}

setup(
    package_dir=FOLDERS,
    packages=[
        package
        for name, folder in FOLDERS.items()
        for package in (name, *(f"{name}.{inner}" for inner in find_namespace_packages(folder)))
    ],
)
