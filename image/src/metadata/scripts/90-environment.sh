#!/bin/sh
# Environment of the definition goes here.

