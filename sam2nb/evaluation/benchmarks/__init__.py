"""Speed and memory of this package, side by side with others on the same weights.

`sam2nb.evaluation.benchmark` is the function, `python -m sam2nb benchmark` the command. Some comparisons:

    everything mode on a large photograph, with the genuine weights
        --model sam2_hiera_tiny --against official --parts everything --repeats 3
        --workload image=data/photos/coffee.jpg --workload photo_hw=1500x2250
    its peak memory if every mask survives the filters, without timing
        --model sam2_hiera_tiny --against official --parts everything_unfiltered --repeats 0
        --workload image=data/photos/coffee.jpg --workload photo_hw=1951x3000
    memory of an open video of 300 frames
        --random-weights --against official --parts folder --repeats 1
    growth of memory over 1000 frames of a stream
        --random-weights --parts stream1 --repeats 1000
    before and after a change
        --random-weights --against ../sam2nb-before --parts encode,click,track1,track4
"""
