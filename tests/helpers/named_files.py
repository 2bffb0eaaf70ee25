"""Where the tiny named sets of `set_folders` have the file of a recording."""

FILES = {  # key of a recording -> its file
    "nmnist": lambda key: f"NMNIST/{key.split('/')[0].title()}/{key.split('/', 1)[1]}.bin",
    "ncaltech101": lambda key: f"NCALTECH101/Caltech101/{key}.bin",
    "cifar10dvs": lambda key: f"CIFAR10DVS/{key}.aedat",
    "cepdvs": lambda key: f"CEP-DVS/events/{key}.mat",
    "ncars": lambda key: f"NCARS/{key}.dat",
    "asldvs": lambda key: f"ASLDVS/{key}.mat",
    "pokerdvs": lambda key: f"POKERDVS/{key}.aedat",
    "dvsgesture": lambda key: f"DVSGesture/ibmGesture{key.split('/')[0].title()}/{key.split('/', 1)[1]}.npy",
}
