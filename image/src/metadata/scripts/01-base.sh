#!/bin/sh
# Settings of the runtime go here.
