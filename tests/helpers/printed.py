"""Tables of the literature as they are printed, to hold the figures of the package to."""

from __future__ import annotations

# Redman et al. 2021 (arXiv 2110.03210): eigenvalue, and its std where one is printed, by group.
SPECTRA = {
    ("resnet50-simclr-imagenet", "Table 2"): "1.15±.01 1.09±.02 1.02±.01 .95±.02",
    ("resnet50-simclr-cifar10", "Table 2"): "1.11±.01 1.06±.01 1.01±.01 .98±.002",
    ("resnet50-simclr-cifar100", "Table 2"): "1.08±.03 1.04±.02 1.00±.01 .99±.01",
    ("resnet14-cifar10", "Table 3"): "1.07",
    ("resnet20-cifar10", "Table 3"): "1.07 1.07",
    ("resnet32-cifar10", "Table 3"): ".99 1.06 1.06 1.08",
    ("resnet44-cifar10", "Table 3"): "1.00 .98 1.06 1.06 1.05 1.07",
    ("resnet56-cifar10", "Table 3"): "1.02 .98 1.07 1.06 1.05 1.06 1.04 1.08",
    ("resnet50-supervised-imagenet", "Table 4"): "1.13±.01 1.08±.01 1.02±.01 .96±.01",
    ("resnet50-supervised-cifar10", "Table 4"): "1.04±.04 1.06±.03 1.03±.03 .96±.02",
    ("resnet50-supervised-cifar100", "Table 4"): "1.04±.05 1.06±.02 1.03±.004 .97±.01",
    ("vgg16-cifar10", "Table 5"): (
        "1.22±.02 1.16±.02 1.15±.04 1.14±.04 1.12±.05 1.09±.06 1.07±.07 "
        "1.03±.07 .95±.05 .91±.03 .89±.03 .88±.04 .87±.05"
    ),
    ("bert-base-mlm", "Table 6"): (
        ".99±.01 1.00±.01 1.00±.01 1.00±.01 1.01±.01 1.01±.01 "
        "1.01±.01 1.00±.01 1.00±.002 1.00±.001 1.00±.01 1.00±.01"
    ),
    ("resnet14-cifar10", "Table 7"): "1.03",
    ("resnet20-cifar10", "Table 7"): "1.02 1.02",
    ("resnet32-cifar10", "Table 7"): "1.02 1.03 1.01 1.00",
    ("resnet44-cifar10", "Table 7"): "1.04 1.03 1.03 1.03 1.00 1.01",
    ("resnet56-cifar10", "Table 7"): "1.03 1.02 1.02 1.02 1.01 1.00 .99 1.00",
    ("resnet14-cifar10", "Table 8"): ".95",
    ("resnet20-cifar10", "Table 8"): ".97 .95",
    ("resnet32-cifar10", "Table 8"): ".99 .99 .96 .95",
    ("resnet44-cifar10", "Table 8"): ".99 .98 .97 .95 .96 .96",
    ("resnet56-cifar10", "Table 8"): ".99 .98 .98 .97 .96 .97 .98 .96",
}
STARTING_POINTS = {  # Sec. 3.1: shares of the stages at level 1
    "imagenet": ".0079 .0557 .3055 .6309",
    "cifar10": ".0075 .0556 .3176 .6193",
    "cifar100": ".0070 .0519 .3004 .6407",
}
GAMMAS = {  # Table 9: no pretraining, supervised, simCLR, MoCo
    "cifar10": "-.14 -.10 -.16 -.21",
    "cifar100": "-.11 -.15 -.06 -.24",
    "svhn": "-.07 -.06 -.03 -.29",
    "imagenet": "-.42",
    "simclr": "-1.01",
}

# Chen et al. 2021c (arXiv 2103.16547), in percent.
ELASTIC = {
    "Table 1": (
        "69.96 72.56 73.77 70.22 72.94 74.20 62.88 66.97 68.36 63.10 67.07 68.68 64.96 68.51 69.74 "
        "62.23 67.51 69.35 62.85 67.24 69.23 71.29 71.86 68.17 73.37 68.08 72.47"
    ),
    "Table 2": "68.17 72.94 73.37 69.59 72.66 73.88",
    "Table 3": "-1.64 -1.60 -4.48 -4.47 -.96 -1.41 -2.83 -2.89 -.50 -.56 -1.66 -1.77",
    "Table 5": (
        "93.50 93.61 93.38 93.50 93.62 93.59 93.44 93.59 93.38 "
        "98.06 97.95 97.99 97.91 97.83 97.83 97.88 97.91 98.03"
    ),
    "Table 6": "95.95 96.00 87.21 88.67 95.44 95.79 91.07 91.38",
    "Table 7": "95.21 95.42 95.40 95.16",
    "Sec. 4.4": "8.72 69.72",
}
ELASTIC_TARGETS = {  # depths of the networks that the numbers are of
    "Table 1": 7 * "18 26 34 " + "26 34 18 34 18 26",
    "Table 2": 2 * "18 26 34 ",
    "Table 3": 4 * "20 " + 4 * "32 " + 4 * "56 ",
    "Table 5": 3 * "13-2 13-3 13-5 " + 3 * "2 3 4 ",
    "Table 6": 4 * "20 32 ",
    "Table 7": 4 * "18 ",
    "Sec. 4.4": 2 * "32 ",
}

# Chen et al. 2021a (arXiv 2012.06908): levels of the sparsest matching tickets, three a task
# (supervised, simCLR, MoCo); of one whose accuracy falls with the temperature, in percent.
TRANSFERS = {
    "Sec. 4, Fig. 2": "5 4 14",
    "Secs. 4.1, 4.2, App. B.1": "11 11 11 9 9 10 11 15 12 10 10 11 5 4 4 6 3 6 3 2 8 8 10 2 6 3 7",
    "Secs. 4.1, 4.2": "18 11 6 11 11 1 11 14 11 10 15 6 6 4 5 14 12 17 6 5 9",
    "App. B.2": "4 8 9 8 - - - -",
}
TEMPERATURES = {0.1: 81.81, 0.2: 81.91, 0.5: 82.22, 1: 81.24, 2: 80.76, 10: 81.46, 20: 80.18}

# Points of a curve and the sum of their accuracies in percent: data of Renda et al. 2020 (arXiv
# 2003.02389), lottery tickets retrained for 182 epochs, and Chen et al. 2021a, Fig. 3, read off.
CURVES = {
    "renda2020-resnet20-cifar10": (31, 2777.9759),
    "renda2020-resnet56-cifar10": (52, 4696.8757),
    "chen2021a-none-cifar10": (19, 1784.447),
    "chen2021a-supervised-cifar10": (19, 1814.96),
    "chen2021a-simclr-cifar10": (19, 1828.546),
    "chen2021a-moco-cifar10": (18, 1700.365),
    "chen2021a-none-cifar100": (18, 1317.167),
    "chen2021a-supervised-cifar100": (19, 1519.895),
    "chen2021a-simclr-cifar100": (19, 1547.772),
    "chen2021a-moco-cifar100": (19, 1415.787),
    "chen2021a-none-svhn": (18, 1722.83),
    "chen2021a-supervised-svhn": (19, 1832.095),
    "chen2021a-simclr-svhn": (19, 1836.571),
    "chen2021a-moco-svhn": (19, 1828.081),
}
