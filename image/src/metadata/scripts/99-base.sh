#!/bin/sh

LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/.singularity.d/libs"
PS1="${PS1:-Singularity> }"
export LD_LIBRARY_PATH PS1
