#!/bin/sh
mkdir -p var/log
echo "started at $(date)" | tee var/log/app.log
