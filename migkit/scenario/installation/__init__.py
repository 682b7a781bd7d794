"""What runs on two hosts: what is typical of each platform, and what stopping a guest there costs, part by part."""
