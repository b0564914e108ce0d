#!/bin/sh
echo "$1 and $2 as $(id -un)"
